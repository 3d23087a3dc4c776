"""Follow the ledger: which release every project should serve, and which one it can."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from include.contracts import Contract, Digest, ReleaseRef
from include.ledger import Ledger
from include.ledger.releases import find_serving_releases
from include.serving.model import ServedModel, load_model
from include.storage import Store, write_atomically

POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0

Source = Literal["ledger", "cache"]

logger = logging.getLogger(__name__)
plan_format = TypeAdapter(dict[str, ReleaseRef])


class ServingState(Contract):
    """What one project serves, should serve, and why the two may differ."""

    live: Digest | None
    model_version: int | None
    wanted: Digest | None
    rejected: dict[Digest, str]
    source: Source


@dataclass(frozen=True)
class _Track:
    """One project's way from the release that is live to the one that is wanted."""

    live: ServedModel | None = None
    wanted: ReleaseRef | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)
    retry_at: float = 0.0


class ServingPlan:
    """The live model of every project; the ledger says which, and a file remembers for when it is away.

    :param cache: File with the releases that were verified last.
    """

    def __init__(self, ledger: Ledger, store: Store, cache: Path) -> None:
        self._ledger = ledger
        self._store = store
        self._cache = cache
        self._source: Source = "cache"
        self._trouble = ""
        # Replaced as a whole, never changed: requests read it while another thread follows the ledger.
        self._tracks: Mapping[str, _Track] = {}

    @property
    def projects(self) -> list[str]:
        """Projects that are served, or should be."""
        return sorted(self._tracks)

    def find_model(self, project: str) -> ServedModel | None:
        """Return the model that answers for a project right now."""
        return self._tracks.get(project, _Track()).live

    def describe(self) -> dict[str, ServingState]:
        """Tell the state of every project."""
        return {
            project: ServingState(
                live=track.live.release.digest if track.live else None,
                model_version=track.live.release.model.version if track.live else None,
                wanted=track.wanted.digest if track.wanted else None,
                rejected=dict(track.rejected),
                source=self._source,
            )
            for project, track in sorted(self._tracks.items())
        }

    def restore(self) -> None:
        """Serve what was verified last, until the ledger answers."""
        try:
            remembered = plan_format.validate_json(self._cache.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            logger.warning("%s is unreadable and ignored: %s", self._cache, error)
            return
        for project, release in remembered.items():
            self._aim(project, release)

    async def follow(self) -> None:
        """Keep the live models in step with the ledger, for ever."""
        while True:
            await asyncio.to_thread(self.reconcile)
            await asyncio.sleep(POLL_SECONDS)

    def reconcile(self) -> None:
        """Ask the ledger once; where it wants something else than is live, verify that and switch."""
        try:
            wanted = find_serving_releases(self._ledger)
            self._source = "ledger"
            for project, release in wanted.items():
                self._aim(project, release)
            self._tracks = {project: track for project, track in self._tracks.items() if project in wanted}
            self._remember()
            self._trouble = ""
        except Exception as error:
            # Whatever is wrong with the ledger or the disk, what is live keeps answering.
            self._source = "cache"
            if self._trouble != str(error):
                logger.exception("serving on from the last plan")
            self._trouble = str(error)

    def _aim(self, project: str, release: ReleaseRef) -> None:
        track = self._tracks.get(project, _Track())
        if track.wanted != release:
            # An older rejection must not be mistaken for the verdict of the attempt that starts now.
            others = {digest: reason for digest, reason in track.rejected.items() if digest != release.digest}
            track = self._put(project, replace(track, wanted=release, rejected=others, retry_at=0.0))
        is_live = track.live is not None and track.live.release.digest == release.digest
        if not is_live and time.monotonic() >= track.retry_at:
            self._put(project, self._switch(track, release))

    def _switch(self, track: _Track, release: ReleaseRef) -> _Track:
        """Load a release beside the live one; traffic moves to it only if it proves itself."""
        others = {digest: reason for digest, reason in track.rejected.items() if digest != release.digest}
        try:
            model = load_model(self._store, release)
        except Exception as error:
            # Nothing a release does while it is loaded may harm the one that is live.
            logger.exception("release %s is rejected", release.digest)
            reasons = {**others, release.digest: f"{type(error).__name__}: {error}"}
            return replace(track, rejected=reasons, retry_at=time.monotonic() + RETRY_SECONDS)
        logger.info("release %s is live", release.digest)
        return replace(track, live=model, rejected=others)

    def _put(self, project: str, track: _Track) -> _Track:
        self._tracks = {**self._tracks, project: track}
        return track

    def _remember(self) -> None:
        live = {project: track.live.release for project, track in self._tracks.items() if track.live}
        content = plan_format.dump_json(live)
        if not self._cache.exists() or self._cache.read_bytes() != content:
            write_atomically(self._cache, content)
