"""Follow the ledger: who should answer every project's requests, and who can."""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from include.contracts import Contract, Digest, Fraction, ReleasePlan, ReplicaReport
from include.ledger import Ledger
from include.ledger.plans import ALONE, find_plans
from include.serving.copies import BundleCopies
from include.serving.holding import ReleaseHolder
from include.serving.model import ServedModel
from include.storage import Store, write_atomically

POLL_SECONDS = 0.5
START_SECONDS = 2.0

Source = Literal["ledger", "cache"]

logger = logging.getLogger(__name__)
cache_format = TypeAdapter(dict[str, ReleasePlan])


class ServingState(Contract):
    """What one project serves, should serve, and why the two may differ."""

    live: Digest | None
    model_version: int | None
    revision: int | None
    candidate: Digest | None
    previous: Digest | None
    weight: Fraction
    shadow: Fraction
    wanted: Digest | None
    wanted_revision: int | None
    rejected: dict[Digest, str]
    source: Source


@dataclass(frozen=True, eq=False)
class LivePlan:
    """A plan with its models in memory; a request holds on to one from its beginning to its end."""

    plan: ReleasePlan
    champion: ServedModel
    candidate: ServedModel | None
    previous: ServedModel | None

    @property
    def models(self) -> tuple[ServedModel, ...]:
        """Every model held, the champion first."""
        return tuple(model for model in (self.champion, self.candidate, self.previous) if model)


class ServingPlan:
    """Who answers for every project; the ledger says who should, and a file remembers for when it is away.

    :param folder: Local folder that no other process uses: copies of releases, and the plans that were followed last.
    :param brought: Bundles that came with this process's image.
    """

    def __init__(self, ledger: Ledger, store: Store, folder: Path, brought: Store | None = None) -> None:
        self._ledger = ledger
        self._holder = ReleaseHolder(BundleCopies(folder, store, brought), self._settle_project)
        self._cache = folder / "plan.json"
        self._source: Source = "cache"
        self._trouble = ""
        self._in_step = threading.Event()
        self._stopping = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="plan", daemon=True)
        self._lock = threading.Lock()
        # Both are replaced as a whole, never changed: requests read them while other threads follow the ledger.
        self._live: Mapping[str, LivePlan] = {}
        self._wanted: Mapping[str, ReleasePlan] = {}

    @property
    def projects(self) -> list[str]:
        """Projects that are served, or should be."""
        return sorted({*self._live, *self._wanted})

    def find_live(self, project: str) -> LivePlan | None:
        """Return who answers for a project right now."""
        return self._live.get(project)

    def describe(self) -> dict[str, ServingState]:
        """Tell the state of every project."""
        rejected = self._list_rejected()
        return {
            project: ServingState(
                **_describe(self._live.get(project), self._wanted.get(project)),
                rejected=rejected.get(project, {}),
                source=self._source,
            )
            for project in self.projects
        }

    def report(self, name: str, address: str, started_at: datetime) -> ReplicaReport:
        """Tell what this process does, for the ledger."""
        held: dict[str, tuple[Digest, ...]] = defaultdict(tuple)
        for release in self._holder.list_held():
            held[release.project] += (release.digest,)
        return ReplicaReport(
            name=name,
            address=address,
            started_at=started_at,
            revisions={project: live.plan.revision for project, live in self._live.items()},
            held=dict(held),
            rejected=self._list_rejected(),
            source=self._source,
        )

    def restore(self) -> None:
        """Follow the plans that were followed last, until the ledger answers; the store is not needed."""
        try:
            remembered = cache_format.validate_json(self._cache.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            logger.warning("%s is unreadable and ignored: %s", self._cache, error)
            return
        for plan in remembered.values():
            self._holder.restore(plan)
            with self._lock:
                self._settle(plan)

    def start(self) -> None:
        """Keep in step with the ledger until told to stop.

        Returns once what it wants is live, so that nobody is answered by what was left before a restart; a ledger or a
        store that does not answer is waited for only shortly.
        """
        self._follower.start()
        self._in_step.wait(START_SECONDS)

    def stop(self) -> None:
        """End; what is live stays so."""
        self._stopping.set()
        self._follower.join()
        self._holder.close()

    def look(self) -> None:
        """Ask the ledger once; what is wanted and not held yet is loaded beside what is live, and followed then."""
        source: Source = "cache"
        try:
            wanted = find_plans(self._ledger)
            source = "ledger"
            self._want(wanted)
            self._remember()
            self._trouble = ""
        except Exception as error:
            # Whatever is wrong with the ledger or the disk, what is live keeps answering.
            if self._trouble != str(error):
                logger.exception("serving on from the last plan")
            self._trouble = str(error)
        self._source = source

    def reconcile(self) -> None:
        """Ask the ledger once, and return when everything that it wants is live or rejected."""
        self.look()
        self._holder.wait()

    def _follow(self) -> None:
        self.reconcile()
        self._in_step.set()
        while not self._stopping.wait(POLL_SECONDS):
            self.look()

    def _want(self, wanted: Mapping[str, ReleasePlan]) -> None:
        with self._lock:
            for project, plan in wanted.items():
                before = self._wanted.get(project)
                if before is None or before.revision != plan.revision:
                    self._holder.pardon(plan)
            self._wanted = wanted
            self._live = {project: live for project, live in self._live.items() if project in wanted}
            for plan in wanted.values():
                self._settle(plan)
                self._holder.load(plan)

    def _settle_project(self, project: str) -> None:
        with self._lock:
            if plan := self._wanted.get(project):
                self._settle(plan)
        self._remember()

    def _settle(self, plan: ReleasePlan) -> None:
        """Follow a plan as soon as it is known of its champion and its candidate whether they can answer."""
        models, live = self._holder.find(plan), self._live.get(plan.project)
        ready = None if models is None else _assemble(plan, models)
        # Without its candidate a plan is better than none, but no better than the last one that was whole.
        if ready is None or (live and ready.plan.candidate != plan.candidate):
            return
        if live is None or live.plan != ready.plan:
            self._live = {**self._live, plan.project: ready}
            logger.info("%s follows revision %d of its plan", plan.project, plan.revision)

    def _remember(self) -> None:
        """Write down what is followed, and let go of what no plan needs any more."""
        with self._lock:
            followed = {project: live.plan for project, live in self._live.items()}
            content = cache_format.dump_json(followed)
            if not self._cache.exists() or self._cache.read_bytes() != content:
                write_atomically(self._cache, content)
                self._holder.keep_only([*followed.values(), *self._wanted.values()])

    def _list_rejected(self) -> dict[str, dict[Digest, str]]:
        rejected: dict[str, dict[Digest, str]] = defaultdict(dict)
        for release, reason in self._holder.list_rejected().items():
            rejected[release.project][release.digest] = reason
        return dict(rejected)


def _assemble(plan: ReleasePlan, models: Mapping[str, ServedModel]) -> LivePlan | None:
    """Join a plan with its models; what cannot be held is left out of it, but nothing goes without a champion."""
    champion, candidate, previous = (
        models.get(release.digest) if release else None for release in (plan.champion, plan.candidate, plan.previous)
    )
    if champion is None:
        return None
    changes = ALONE if candidate is None and plan.candidate else {}
    changes = changes if previous else {**changes, "previous": None}
    return LivePlan(plan.model_copy(update=changes), champion, candidate, previous)


def _describe(live: LivePlan | None, wanted: ReleasePlan | None) -> dict[str, Any]:
    plan = live.plan if live else None
    aim = wanted or plan
    return {
        "live": plan and plan.champion.digest,
        "model_version": plan and plan.champion.model.version,
        "revision": plan and plan.revision,
        "candidate": plan and plan.candidate and plan.candidate.digest,
        "previous": plan and plan.previous and plan.previous.digest,
        "weight": plan.weight if plan else 0.0,
        "shadow": plan.shadow if plan else 0.0,
        "wanted": aim and aim.champion.digest,
        "wanted_revision": wanted and wanted.revision,
    }
