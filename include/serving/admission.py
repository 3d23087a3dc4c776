"""Let in what fits, and turn away the rest at once, so that a flood ends in refusals and not in a collapse."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from include.serving.refusals import RefusedRequestError

TOO_MANY_REQUESTS = 429
RETRY_SECONDS = 1


def refuse_overload(reason: str) -> RefusedRequestError:
    """Say that there is enough to do, and when to come back."""
    return RefusedRequestError(TOO_MANY_REQUESTS, "overloaded", reason, "try again shortly", retry_after=RETRY_SECONDS)


class Admission:
    """A fixed amount of something that requests share; any number of threads may take of it.

    :param limit: How much there is.
    :param unit: What is counted, in the plural.
    """

    def __init__(self, limit: int, unit: str = "images") -> None:
        self._limit = limit
        self._unit = unit
        self._taken = 0
        # Reentrant: memory is given back by finalizers, which may run anywhere, also below `take`.
        self._lock = threading.RLock()

    @property
    def taken(self) -> int:
        """How much is taken right now."""
        return self._taken

    def take(self, amount: int = 1) -> None:
        """Take a share, to be given back later.

        :raises RefusedRequestError: 429, so much is not left.
        """
        with self._lock:
            if self._taken + amount > self._limit:
                taken = f"{self._taken} {self._unit} are being worked on"
                raise refuse_overload(f"{taken}, and {amount} more make over {self._limit}")
            self._taken += amount

    def give(self, amount: int = 1) -> None:
        """Give a share back."""
        with self._lock:
            self._taken -= amount

    @contextmanager
    def enter(self, amount: int = 1) -> Iterator[None]:
        """Hold a share for as long as the block runs.

        :raises RefusedRequestError: 429, so much is not left.
        """
        self.take(amount)
        try:
            yield
        finally:
            self.give(amount)
