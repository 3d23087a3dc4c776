"""Hold the releases in memory that plans need, and remember why others cannot be held."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from include.contracts import ReleasePlan, ReleaseRef
from include.serving.copies import BundleCopies
from include.serving.model import ServedModel
from include.vision.releases import release_address

RETRY_SECONDS = 10.0
LOADERS = 4

logger = logging.getLogger(__name__)


class ReleaseName(NamedTuple):
    """One release of one project."""

    project: str
    digest: str


class _Rejection(NamedTuple):
    reason: str
    retry_at: float


class ReleaseHolder:
    """The models of one process, each loaded once, beside those that answer; any number of threads may look.

    :param copies: Where releases are loaded from.
    :param decided: Called with a project whenever it is known of one more of its releases whether it can be held.
    """

    def __init__(self, copies: BundleCopies, decided: Callable[[str], None]) -> None:
        self._copies = copies
        self._decided = decided
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(LOADERS, thread_name_prefix="loading")
        self._held: dict[ReleaseName, ServedModel] = {}
        self._loading: dict[ReleaseName, Future[None]] = {}
        self._rejected: dict[ReleaseName, _Rejection] = {}

    def list_held(self) -> list[ReleaseName]:
        """List the releases that answer their golden images."""
        with self._lock:
            return sorted(self._held)

    def list_rejected(self) -> dict[ReleaseName, str]:
        """Tell of every release that could not be held why not."""
        with self._lock:
            return {name: rejection.reason for name, rejection in self._rejected.items()}

    def find(self, plan: ReleasePlan) -> dict[str, ServedModel] | None:
        """Return the models of a plan that are held, by digest; None while it is open whether those it needs can be.

        It does not need what answers only where the champion fails: a way back must not wait for anything to load.
        """
        needed = [ReleaseName(plan.project, release.digest) for release in (plan.champion, plan.candidate) if release]
        with self._lock:
            if any(name not in self._held and name not in self._rejected for name in needed):
                return None
            return {name.digest: self._held[name] for name in name_releases(plan) if name in self._held}

    def restore(self, plan: ReleasePlan) -> None:
        """Load the releases of a plan that was followed before, now and without the store."""
        for name, release in name_releases(plan).items():
            self._load(name, release, self._copies.restore)

    def load(self, plan: ReleasePlan) -> None:
        """Begin to load what a plan needs and is not held; what was rejected, only once it may be tried again."""
        with self._lock:
            for name, release in name_releases(plan).items():
                rejection = self._rejected.get(name)
                is_due = rejection is None or time.monotonic() >= rejection.retry_at
                if is_due and name not in self._held and name not in self._loading:
                    self._loading[name] = self._pool.submit(self._load_and_tell, name, release)

    def pardon(self, plan: ReleasePlan) -> None:
        """Forget why releases of a plan were rejected: that must not be mistaken for the verdict of a new attempt."""
        with self._lock:
            for name in name_releases(plan):
                self._rejected.pop(name, None)

    def keep_only(self, plans: Iterable[ReleasePlan]) -> None:
        """Let go of the models, and of the copies, that no plan needs."""
        needed = {name for plan in plans for name in name_releases(plan)}
        with self._lock:
            self._held = {name: model for name, model in self._held.items() if name in needed}
            spared = {release_address(*name) for name in (*needed, *self._loading)}
        self._copies.keep_only(spared)

    def wait(self) -> None:
        """Return when everything that was begun is held or rejected."""
        with self._lock:
            loading = list(self._loading.values())
        wait(loading)

    def close(self) -> None:
        """End the threads; what is held stays so."""
        self._pool.shutdown(cancel_futures=True)

    def _load_and_tell(self, name: ReleaseName, release: ReleaseRef) -> None:
        self._load(name, release, self._copies.load)
        with self._lock:
            del self._loading[name]
        self._decided(name.project)

    def _load(self, name: ReleaseName, release: ReleaseRef, load: Callable[[ReleaseRef], ServedModel]) -> None:
        try:
            model = load(release)
        except Exception as error:
            # Nothing a release does while it is loaded may harm those that answer.
            logger.exception("release %s is rejected", release.digest)
            rejection = _Rejection(f"{type(error).__name__}: {error}", time.monotonic() + RETRY_SECONDS)
            with self._lock:
                self._rejected[name] = rejection
            return
        logger.info("release %s is ready", release.digest)
        with self._lock:
            self._rejected.pop(name, None)
            self._held[name] = model


def name_releases(plan: ReleasePlan) -> dict[ReleaseName, ReleaseRef]:
    """Return every release of a plan by its name, the champion first."""
    return {ReleaseName(plan.project, release.digest): release for release in plan.releases}
