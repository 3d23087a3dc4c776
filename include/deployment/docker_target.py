"""Serving in containers: every release gets containers of its own image, and one front decides which set answers.

Blue and green: the set of a release starts beside the one that answers, and takes all requests once every process of it
is ready; the other goes on running until the release has proved itself. All of them follow the ledger's plan, so that
the strategies are the same as with processes.

What there is, the engine knows by its labels and the front's configuration; nothing else is remembered. An attempt that
is killed is taken up, or swept away, by the next one.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from docker import DockerClient

from include.contracts import ReleaseRef
from include.deployment.docker_engine import open_engine
from include.deployment.docker_front import find_pointed, point_front
from include.deployment.docker_home import DockerHome
from include.deployment.docker_image import build_release_image
from include.deployment.replica_set import (
    ReplicaSet,
    complete_set,
    is_ready,
    list_sets,
    remove_set,
    wait_until_ready,
)
from include.errors import RolloutFailedError
from include.settings import Settings

# Requests that the front had sent to a set before it turned away from it have this long.
DRAIN_SECONDS = 2.0


class DockerTarget:
    """Containers on this machine's engine; one attempt at a time works on those of a home.

    Every method raises `ServiceUnavailableError` where no engine answers, `ContractViolationError` where store or
    ledger cannot be shared with a container, and `RolloutFailedError` where a container does not come up.

    :param ledger_uri: The ledger as it is reached from here.
    """

    def __init__(self, settings: Settings, ledger_uri: str) -> None:
        self._home = DockerHome(settings, ledger_uri)

    def prepare(self, release: ReleaseRef) -> None:
        """Start the containers of a release, and send them the requests once all are ready.

        :raises NotCertifiedError: the release's certificate does not verify.
        """
        with self._work() as engine:
            self._home.furnish()
            image = build_release_image(engine, release, self._home.settings.open_store())
            before = self._sweep(engine, release)
            mine = complete_set(engine, self._home, release, image, before)
            others = [one for one in before if one.slot != mine.slot]
            try:
                self._wait(mine, others)
            except RolloutFailedError:
                if mine.slot != find_pointed(self._home):
                    remove_set(engine, mine)
                raise
            point_front(engine, self._home, mine.slot, mine.names)

    def finish(self, release: ReleaseRef) -> None:
        """Remove the sets that are older than a release's own; one that was replaced meanwhile has none."""
        with self._work() as engine:
            sets = list_sets(engine, self._home)
            mine = next((one for one in sets if one.release == release.digest), None)
            older = [one for one in sets if mine and one.generation < mine.generation]
            if mine and older:
                self._leave(engine, older, mine)

    def abandon(self, release: ReleaseRef) -> None:
        """Let another set answer, and remove the release's own; the only set there is stays: it follows the plan."""
        with self._work() as engine:
            sets = list_sets(engine, self._home)
            mine = [one for one in sets if one.release == release.digest]
            others = [one for one in sets if one not in mine]
            if mine and others:
                best = max(others, key=lambda one: (is_ready(self._home, one), one.generation))
                self._leave(engine, mine, best)

    @contextmanager
    def _work(self) -> Iterator[DockerClient]:
        with self._home.lock(), open_engine() as engine:
            yield engine

    def _sweep(self, engine: DockerClient, release: ReleaseRef) -> list[ReplicaSet]:
        """Remove what dead attempts for other releases left half done; return the other sets."""
        pointed, kept = find_pointed(self._home), []
        for one in list_sets(engine, self._home):
            if one.is_whole or one.slot == pointed or one.release == release.digest:
                kept.append(one)
            else:
                remove_set(engine, one)
        return kept

    def _wait(self, one: ReplicaSet, others: Sequence[ReplicaSet]) -> None:
        wait_until_ready(self._home, one, may_idle=not any(is_ready(self._home, other) for other in others))

    def _leave(self, engine: DockerClient, left: Sequence[ReplicaSet], heir: ReplicaSet) -> None:
        """Send requests to another set wherever one of these gets them, and remove these."""
        if find_pointed(self._home) in {one.slot for one in left}:
            self._wait(heir, left)
            point_front(engine, self._home, heir.slot, heir.names)
        # Even when the front had turned away before: an attempt that was killed may have done so just now.
        time.sleep(DRAIN_SECONDS)
        for one in left:
            remove_set(engine, one)
