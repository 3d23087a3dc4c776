"""Sets of serving containers: as many alike as answer together, all of the image of one release."""

import json
import os
import string
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.images import Image

from include.contracts import ReleaseRef
from include.deployment.docker_engine import HARDENED
from include.deployment.docker_home import SOCKETS, DockerHome
from include.deployment.docker_image import RELEASES, name_image
from include.errors import RolloutFailedError

READY_SECONDS = 60.0
# A process that is told to stop has 10 s for the requests it has, and then publishes what it recorded.
STOP_SECONDS = 25
LOG_LINES = 15
DEAD = frozenset({"exited", "dead", "restarting"})


@dataclass(frozen=True)
class ReplicaSet:
    """The containers of one set, as the engine knew them when it was asked.

    Sets are equals to whoever is answered, for all follow the ledger's plan; a newer one carries newer code, and its
    release within its image.
    """

    slot: str
    release: str
    generation: int
    wanted: int
    containers: tuple[Container, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the serving processes."""
        return tuple(str(container.name) for container in self.containers)

    @property
    def is_whole(self) -> bool:
        """Whether every container is there and runs."""
        return len(self.containers) == self.wanted and all(one.status == "running" for one in self.containers)


def list_sets(engine: DockerClient, home: DockerHome) -> list[ReplicaSet]:
    """Return the sets of a home, whole or not, oldest first."""
    labels = [f"{name}={value}" for name, value in {**home.labels, "windhover.part": "replica"}.items()]
    members = defaultdict(list)
    for container in engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True):
        members[container.labels["windhover.set"]].append(container)
    return sorted((_read(containers) for containers in members.values()), key=lambda one: one.generation)


def complete_set(
    engine: DockerClient, home: DockerHome, release: ReleaseRef, image: Image, others: Sequence[ReplicaSet]
) -> ReplicaSet:
    """Start the containers of a release; those that an earlier attempt started are taken over.

    :param others: Every set there is; one of the same release is completed.
    """
    found = next((one for one in others if one.release == release.digest), None)
    labels = {
        **home.labels,
        "windhover.part": "replica",
        "windhover.release": release.digest,
        "windhover.set": found.slot if found else _choose_slot(others),
        "windhover.generation": str(found.generation if found else max((s.generation for s in others), default=0) + 1),
        "windhover.replicas": str(found.wanted if found else home.settings.serving_replicas),
    }
    names = [f"{home.name}-{labels['windhover.set']}-{n + 1}" for n in range(int(labels["windhover.replicas"]))]
    known = {str(container.name): container for container in (found.containers if found else ())}
    containers = [known.get(name) or _create(engine, home, name, image, labels) for name in names]
    for container in containers:
        if container.status != "running":
            container.start()
    return _read(containers)


def is_ready(home: DockerHome, one: ReplicaSet) -> bool:
    """Tell whether every process of a set answers its golden images."""
    return one.is_whole and not any(_find_trouble(home, name) for name in one.names)


def wait_until_ready(home: DockerHome, one: ReplicaSet, *, may_idle: bool) -> None:
    """Wait until every process of a set answers its golden images.

    :param may_idle: Whether a process without anything to answer with counts, as before a project's first release.
    :raises RolloutFailedError: a container has died, or the time is up; with the last lines it logged.
    """
    deadline = time.monotonic() + READY_SECONDS
    for container in one.containers:
        while (trouble := _find_trouble(home, str(container.name))) and not (may_idle and _is_idle(trouble)):
            container.reload()
            if container.status in DEAD or time.monotonic() > deadline:
                raise RolloutFailedError(_explain(container, trouble))
            time.sleep(0.1)


def remove_set(engine: DockerClient, one: ReplicaSet) -> None:
    """Stop the containers of a set in good order, and remove them and their image."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(_remove, one.containers))
    try:
        engine.images.remove(name_image(one.release))
    except APIError:
        # Another set, of this home or of another, still runs it; or it is gone already.
        return


def _create(engine: DockerClient, home: DockerHome, name: str, image: Image, labels: dict[str, str]) -> Container:
    uid, gid = home.owner
    socket = f"{SOCKETS}/{name}.sock"
    return engine.containers.create(
        image,
        ["python", "-m", "include.serving", "--socket", socket, "--name", name],
        entrypoint=[],
        name=name,
        user=f"{uid}:{gid}",
        network_mode=home.network,
        mounts=home.list_mounts(),
        environment={"WINDHOVER_RELEASES": RELEASES, "WINDHOVER_PROJECTS": "/run/projects"},
        labels=labels,
        healthcheck={
            "test": ["CMD", "python", "-m", "include.serving.probe", socket],
            "interval": 5_000_000_000,
            "timeout": 10_000_000_000,
            "start_period": 60_000_000_000,
        },
        mem_limit="1g",
        **HARDENED,
    )


def _remove(container: Container) -> None:
    try:
        container.stop(timeout=STOP_SECONDS)
        container.remove(v=True, force=True)
    except NotFound:
        return


def _read(containers: Sequence[Container]) -> ReplicaSet:
    for container in containers:
        container.reload()
    labels = containers[0].labels
    return ReplicaSet(
        slot=labels["windhover.set"],
        release=labels["windhover.release"],
        generation=int(labels["windhover.generation"]),
        wanted=int(labels["windhover.replicas"]),
        containers=tuple(sorted(containers, key=lambda one: str(one.name))),
    )


def _choose_slot(others: Sequence[ReplicaSet]) -> str:
    taken = {one.slot for one in others}
    return next(letter for letter in string.ascii_lowercase if letter not in taken)


def _find_trouble(home: DockerHome, name: str) -> str:
    """Ask a process whether it is ready; return why not, or nothing."""
    folder = os.open(home.sockets, os.O_PATH)
    try:
        # A home may lie so deep that the socket's own path is too long for the kernel.
        transport = httpx.HTTPTransport(uds=f"/proc/self/fd/{folder}/{name}.sock")
        with httpx.Client(transport=transport, timeout=5) as client:
            answer = client.get("http://serving/readyz")
    except httpx.HTTPError as error:
        return str(error)
    finally:
        os.close(folder)
    return "" if answer.is_success else answer.text


def _is_idle(trouble: str) -> bool:
    try:
        return bool(json.loads(trouble)["error"] == "no_release")
    except (ValueError, TypeError, KeyError):
        return False


def _explain(container: Container, trouble: str) -> str:
    said = container.logs(tail=LOG_LINES).decode(errors="replace").strip()
    return f"container {container.name} is {container.status} and not ready: {trouble}; it said last:\n{said}"
