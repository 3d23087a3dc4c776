"""Where releases run: what a target does around a rollout, beside the plan that the ledger gives to every process."""

from typing import Protocol

from include.contracts import ReleaseRef
from include.settings import Settings


class Target(Protocol):
    """A kind of place that serves. Each call may be made again after a crash, for the same release."""

    def prepare(self, release: ReleaseRef) -> None:
        """Make sure that processes exist, or will, that can load a release."""

    def finish(self, release: ReleaseRef) -> None:
        """Remove what a release that is now champion no longer needs beside it."""

    def abandon(self, release: ReleaseRef) -> None:
        """Remove what was made for a release that was taken back."""


class ProcessTarget:
    """Serving processes that follow the ledger's plan by themselves: there is nothing to make and nothing to remove."""

    def prepare(self, release: ReleaseRef) -> None:
        """Do nothing: every process loads the releases of the plan."""

    def finish(self, release: ReleaseRef) -> None:
        """Do nothing: every process forgets releases that the plan no longer names."""

    def abandon(self, release: ReleaseRef) -> None:
        """Do nothing: see `finish`."""


PROCESSES = ProcessTarget()


def open_target(settings: Settings, ledger_uri: str = "") -> Target:
    """Return the target that WINDHOVER_TARGET names.

    :param ledger_uri: The ledger as it is reached from here; WINDHOVER_LEDGER_URI unless given.
    """
    if settings.target == "process":
        return PROCESSES
    # The triggerer imports this module, and needs no client of a container engine.
    from include.deployment.docker_target import DockerTarget

    return DockerTarget(settings, ledger_uri or settings.ledger_uri)
