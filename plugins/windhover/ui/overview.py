"""What a project's page shows, each part read from store and ledger when it is first asked for."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from include.errors import WindhoverError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts import (
        CorrectiveActionReport,
        DatasetRef,
        DriftReport,
        EpisodeReport,
        HostReport,
        IncidentReport,
        ObjectiveReport,
        PerformanceReport,
        ProfileReport,
    )
    from include.data.catalogue import CatalogueEntry
    from include.ledger import Ledger
    from include.ledger.chronicle import WrittenEntry
    from include.ledger.freezes import FreezeRecord
    from include.ledger.response_times import ResponseTimes
    from include.monitoring.host import Forecast
    from include.project import Project
    from include.registry.standing import VersionStanding
    from include.storage import Store
    from windhover.ui.rollouts import ProjectRollouts

    Report = TypeVar("Report", DriftReport, PerformanceReport)

SHOWN = 8
PLANS = 200
HOST_HOURS = 6
INCIDENTS = 50
# What reading may end in: a place that is away, or what an older version has left there.
UNREADABLE = (WindhoverError, OSError, ValueError)
# More points than a chart is wide say nothing more.
POINTS = 600


class Window(NamedTuple):
    """A window of live traffic, and what was found out about it."""

    profile: "ProfileReport"
    drift: "DriftReport | None"
    performance: "PerformanceReport | None"


class Overview:
    """One project, as it stands now.

    :ivar since: Where its time series begin.
    """

    def __init__(self, project: "Project", store: "Store", ledger: "Ledger", days: int) -> None:
        self.project = project
        self.store = store
        self.ledger = ledger
        self.days = days
        self.now = datetime.now(UTC)
        self.since = self.now - timedelta(days=days)

    @cached_property
    def service(self) -> "ProjectRollouts":
        """Who answers, what is being tried, and the processes that serve."""
        from include.ledger.plans import list_plans, list_replicas
        from include.ledger.rollouts import list_rollouts
        from windhover.ui.rollouts import ProjectRollouts

        name = self.project.name
        plans, rollouts = list_plans(self.ledger, name, PLANS), list_rollouts(self.ledger, name, SHOWN)
        return ProjectRollouts(self.project, plans, rollouts, list_replicas(self.ledger))

    @property
    def answered(self) -> list[int]:
        """Versions that were champion, the newest first, without the one that is."""
        plans = [one.plan for one in self.service.revisions if one.plan]
        found = {plan.champion.model.version for plan in plans}
        return sorted(found - {plan.champion.model.version for plan in plans[:1]}, reverse=True)

    @cached_property
    def freezes(self) -> "list[FreezeRecord]":
        """What lets no rollout begin until somebody lifts it."""
        from include.ledger.freezes import list_freezes

        return list_freezes(self.ledger, self.project.name)

    @cached_property
    def versions(self) -> "list[VersionStanding]":
        """The newest certified versions, each with its certificate checked now."""
        from include.registry.standing import list_standings

        return list_standings(self.project.name, self.ledger, self.store, SHOWN)

    @cached_property
    def champion(self) -> "VersionStanding | None":
        """The version that is champion."""
        from include.ledger.models import find_alias
        from include.registry.standing import list_standings

        number = find_alias(self.ledger, self.project.name, "champion")
        if number is None or any(one.version.version == number for one in self.versions):
            return next((one for one in self.versions if one.version.version == number), None)
        return next(iter(list_standings(self.project.name, self.ledger, self.store, 1, number + 1)), None)

    @cached_property
    def profiles(self) -> "list[ProfileReport]":
        """Windows of live traffic, oldest first."""
        from include.monitoring.series import read_series

        return read_series(self.store, self.project.name, self.since, POINTS)

    @cached_property
    def drifts(self) -> "list[DriftReport]":
        """Verdicts on these windows, oldest first."""
        from include.monitoring.series import read_drift_series

        return read_drift_series(self.store, self.project.name, self.since, POINTS)

    @cached_property
    def performances(self) -> "list[PerformanceReport]":
        """Accuracy in these windows, oldest first."""
        from include.monitoring.series import read_performance_series

        return read_performance_series(self.store, self.project.name, self.since, POINTS)

    def of_champion(self, reports: "Sequence[Report]") -> "list[Report]":
        """Leave out the windows that another release than that in service answered: they are the past."""
        plan = self.service.now and self.service.now.plan
        past = {(one.start, one.end) for one in self.profiles if plan and one.release != plan.champion.digest}
        return [one for one in reports if (one.start, one.end) not in past]

    @property
    def windows(self) -> "list[Window]":
        """The newest windows, newest first, each with what was found out about it."""
        drifts = {(one.start, one.end): one for one in self.drifts}
        performances = {(one.start, one.end): one for one in self.performances}
        newest = self.profiles[: -SHOWN - 1 : -1]
        spans = [(one, (one.start, one.end)) for one in newest]
        return [Window(one, drifts.get(span), performances.get(span)) for one, span in spans]

    @cached_property
    def episodes(self) -> "list[EpisodeReport]":
        """Drift episodes, newest first."""
        from include.ledger.episodes import list_episodes

        return list_episodes(self.ledger, self.project.name, SHOWN)

    @property
    def episode(self) -> "EpisodeReport | None":
        """The episode that is not over."""
        return next((one for one in self.episodes if one.state != "closed"), None)

    @cached_property
    def troubles(self) -> "list[IncidentReport]":
        """Incidents of the project and of its platform that are not resolved, the most severe first."""
        from include.ledger.incidents import list_incidents

        order = ("critical", "major", "minor", "info")
        found = [one for name in self.subjects for one in list_incidents(self.ledger, name, INCIDENTS, unresolved=True)]
        return sorted(found, key=lambda one: (order.index(one.severity), one.opened_at))

    @cached_property
    def settled(self) -> "list[IncidentReport]":
        """Incidents of the project and of its platform that are resolved, newest first."""
        from include.ledger.incidents import list_incidents

        found = [one for name in self.subjects for one in list_incidents(self.ledger, name, INCIDENTS)]
        resolved = [one for one in found if one.state == "resolved"]
        return sorted(resolved, key=lambda one: one.opened_at, reverse=True)

    @cached_property
    def to_do(self) -> "list[CorrectiveActionReport]":
        """Corrective actions that are not done, the soonest due first."""
        from include.ledger.corrective_actions import list_open_actions

        return list_open_actions(self.ledger, self.subjects)

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose incidents concern whoever looks after the project."""
        from include.ledger.changes import PLATFORM

        return self.project.name, PLATFORM

    @cached_property
    def post_mortems(self) -> dict[int, str]:
        """Address of the draft about each incident that has one; none while the store is away."""
        try:
            found = [
                one for name in self.subjects for one in self.store.list(f"{name}/reports/post_mortem", "index.html")
            ]
        except UNREADABLE:
            return {}
        return {int(number): one for one in found if (number := one.split("/")[-2]).isdecimal()}

    @cached_property
    def response(self) -> "ResponseTimes":
        """How long people took for the incidents of late."""
        from include.ledger.response_times import LOOKED_BACK, measure_response

        return measure_response(self.ledger, self.project.name, self.now - LOOKED_BACK)

    @cached_property
    def objectives(self) -> "list[ObjectiveReport]":
        """What is promised, and how much of each error budget is left."""
        from include.ledger.objectives import list_objectives

        return list_objectives(self.ledger, self.project.name)

    @cached_property
    def data(self) -> "CatalogueEntry":
        """The dataset, and how its last partitions fared."""
        from include.data.catalogue import read_catalogue

        return read_catalogue([self.project], self.ledger)[0]

    @cached_property
    def datasets(self) -> "list[tuple[DatasetRef, datetime]]":
        """The newest dataset versions, newest first, and when each was published."""
        from include.ledger.datasets import list_versions

        return list_versions(self.ledger, self.project.name)[:SHOWN]

    @cached_property
    def entries(self) -> "list[WrittenEntry]":
        """The newest entries of the audit chain, newest first."""
        from include.ledger.chronicle import list_entries

        return list_entries(self.ledger, self.project.name, SHOWN)

    @cached_property
    def samples(self) -> "list[HostReport]":
        """What the machine was busy with lately, oldest first."""
        from include.ledger.host import list_samples

        return list_samples(self.ledger, self.now - timedelta(hours=HOST_HOURS))

    @cached_property
    def forecasts(self) -> "list[Forecast]":
        """How full memory and disk are, and when they will be full."""
        from include.monitoring.host import forecast

        return forecast(self.samples)
