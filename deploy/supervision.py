"""The supervisor of the embedded stack: its configuration and its remote control."""

import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deploy.errors import StackError
from deploy.home import Home, private_umask
from deploy.parts import FRONT, name_parts, shared_environment
from deploy.processes import find_processes
from include.storage import write_atomically

STOP_SECONDS = 20
LOG_BYTES = 10_000_000

# Paths are relative to the home and the interpreter comes from PATH: the format cannot quote every `;`, `#` and `%`.
_HEAD = """\
; Written by deploy/supervision.py at every start.
[supervisord]
logfile=logs/supervisor.log
logfile_maxbytes={size}
logfile_backups=2
pidfile=run/supervisor.pid
childlogdir=logs
nocleanup=true

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command=python -m deploy.launch {name}
autostart=false
autorestart=true
startsecs=2
startretries=20
stopsignal={signal}
stopasgroup=true
killasgroup=true
stopwaitsecs={wait}
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes={size}
stdout_logfile_backups=2
"""

# PostgreSQL ends its sessions at once; nginx answers what it has begun.
_STOP_SIGNALS = {"postgres": "INT", FRONT: "QUIT"}

# Stopping goes by group, the highest priority first: PostgreSQL outlives whoever writes to it.
_GROUPS = """
[group:database]
programs=postgres
priority=1

[group:services]
programs={services}
priority=2
"""


class Supervisor:
    """Remote control of the supervisor of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def is_running(self) -> bool:
        """Tell whether it answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def launch(self) -> None:
        """Start it in the background; no part starts before `start` says so."""
        with private_umask():
            self.home.run.mkdir(exist_ok=True)
            self.home.socket.parent.mkdir(exist_ok=True)
        _check_owner(self.home.socket.parent)
        configuration = self.home.run / "supervisord.conf"
        write_atomically(configuration, render_configuration(self.home).encode())
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
        environment = shared_environment(self.home)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=self.home.root)
        if done.returncode:
            raise StackError(f"the supervisor does not start: {' '.join((done.stderr or done.stdout).split())}")
        _await(self.is_running, STOP_SECONDS, "the supervisor does not answer on its socket")

    def start(self, name: str) -> None:
        """Start a part unless it runs; returns at once."""
        if self.describe()[name]["statename"] not in {"RUNNING", "STARTING", "BACKOFF"}:
            self._call("startProcess", _full_name(name), False)

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the supervisor's own view of every part, by name."""
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def shut_down(self) -> None:
        """Stop every part, then the supervisor itself."""
        processes = find_processes(self.home)
        self._call("shutdown")
        psutil.wait_procs(processes, timeout=2 * STOP_SECONDS + 5)

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.home.socket}")
        with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def render_configuration(home: Home) -> str:
    """Write the supervisor's configuration; it holds no secret."""
    socket = f"run/{home.socket.name}" if home.socket.parent == home.run else home.socket
    values = {"size": LOG_BYTES, "wait": STOP_SECONDS, "socket": socket}
    names = name_parts(home.replicas)
    programs = [_PROGRAM.format(name=name, signal=_STOP_SIGNALS.get(name, "TERM"), **values) for name in names]
    services = _GROUPS.format(services=",".join(name for name in names if name != "postgres"))
    return _HEAD.format(**values) + "".join(programs) + services


def _full_name(name: str) -> str:
    return f"database:{name}" if name == "postgres" else f"services:{name}"


def _check_owner(folder: Path) -> None:
    if folder.stat().st_uid != psutil.Process().uids().effective:
        raise StackError(f"{folder} belongs to another user; set WINDHOVER_HOME to a shorter path")


def _await(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"{complaint} after {seconds:.0f} s")
        time.sleep(0.1)
