"""The page of rollouts: who answers now, what is being tried and what speaks against it, and how to undo it."""

import math
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from windhover.ui.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts import MetricReport, ReplicaReport
    from include.errors import ProjectFileError
    from include.ledger import Ledger
    from include.ledger.plans import PlanRevision
    from include.ledger.rollouts import RolloutRecord
    from include.project import Project

NEWEST = 3
SHOWN = 50


@dataclass(frozen=True)
class ProjectRollouts:
    """One project's service, and how it came to be; newest first.

    :ivar replicas: The serving processes that are alive, of all projects.
    """

    project: "Project"
    revisions: "list[PlanRevision]"
    rollouts: "list[RolloutRecord]"
    replicas: "list[ReplicaReport]"

    @property
    def now(self) -> "PlanRevision | None":
        """The plan that is in force; None where nothing is in service."""
        return self.revisions[0] if self.revisions and self.revisions[0].plan else None

    @property
    def under_way(self) -> "RolloutRecord | None":
        """The rollout that nobody has ended yet."""
        return next((one for one in self.rollouts if one.state == "started"), None)


def render_rollouts(projects: "Sequence[Project]", problems: "Sequence[ProjectFileError]", ledger: "Ledger") -> str:
    """Render what serves every project, and its rollout under way, as HTML.

    :param problems: What is wrong with the project files that are not valid.
    """
    return _render([_read(project, ledger, NEWEST) for project in projects], problems, whole=False)


def render_project_rollouts(project: "Project", ledger: "Ledger") -> str:
    """Render what serves one project, its newest rollouts and every recent change of who answers, as HTML."""
    return _render([_read(project, ledger, SHOWN)], whole=True)


def measure_evidence(metric: "MetricReport") -> float:
    """Return how far the evidence against a candidate has come, on a scale of logarithms from 0 to harm at 1.

    An e-value multiplies with every observation, so that its logarithm grows evenly.
    """
    if math.isnan(metric.evidence) or metric.evidence <= 1 or metric.limit <= 1:
        return 0.0
    return min(1.0, math.log(metric.evidence) / math.log(metric.limit))


def _read(project: "Project", ledger: "Ledger", limit: int) -> ProjectRollouts:
    from include.ledger.plans import list_plans, list_replicas
    from include.ledger.rollouts import list_rollouts

    name = project.name
    return ProjectRollouts(
        project, list_plans(ledger, name, limit), list_rollouts(ledger, name, limit), list_replicas(ledger)
    )


def _render(entries: "Sequence[ProjectRollouts]", problems: "Sequence[ProjectFileError]" = (), *, whole: bool) -> str:
    return render("rollouts.html", entries=entries, problems=problems, whole=whole, measure=measure_evidence, utc=UTC)
