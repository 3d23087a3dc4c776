"""The page of the certified versions of every project: what serves, whose certificate holds, and who approved it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import ArtifactNotFoundError
from include.settings import load_settings
from windhover.ui.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.errors import ProjectFileError
    from include.ledger import Ledger
    from include.project import Project
    from include.registry.standing import VersionStanding
    from include.storage import Store

NEWEST = 5
SHOWN = 50


@dataclass(frozen=True)
class ProjectModels:
    """One project's versions, newest first.

    :ivar older: Number of the last one shown, where there are older ones.
    """

    project: "Project"
    versions: "list[VersionStanding]"
    older: int | None


def render_models(
    projects: "Sequence[Project]", problems: "Sequence[ProjectFileError]", store: "Store", ledger: "Ledger"
) -> str:
    """Render the newest certified versions of all projects as HTML, each certificate checked now.

    :param problems: What is wrong with the project files that are not valid.
    """
    return _render([_read(project, store, ledger, NEWEST, None) for project in projects], problems)


def render_project_models(project: "Project", store: "Store", ledger: "Ledger", before: int | None = None) -> str:
    """Render the certified versions of one project as HTML, each certificate checked now.

    :param before: Only versions older than this one.
    """
    return _render([_read(project, store, ledger, SHOWN, before)])


def render_version(project: "Project", version: int, store: "Store", ledger: "Ledger") -> str:
    """Render what one version was certified with, and whether that still is so, as HTML.

    :raises ArtifactNotFoundError: the project has no such version.
    """
    from include.registry.standing import find_graph_fault, list_standings

    found = list_standings(project.name, ledger, store, 1, version + 1)
    if not found or found[0].version.version != version:
        raise ArtifactNotFoundError(f"{project.name} has no model version {version}; choose one from its page")
    return render(
        "version.html",
        project=project,
        one=found[0],
        graph_fault=find_graph_fault(found[0], store),
        registry=_registry(),
    )


def _registry() -> str:
    # As `Tracking.model_url` has it; that module would load MLflow into the web server.
    return f"{load_settings().mlflow_page}/#/models"


def _render(entries: "Sequence[ProjectModels]", problems: "Sequence[ProjectFileError]" = ()) -> str:
    return render("models.html", entries=entries, problems=problems, registry=_registry())


def _read(project: "Project", store: "Store", ledger: "Ledger", limit: int, before: int | None) -> ProjectModels:
    from include.registry.standing import list_standings

    # One more than is shown tells whether there are older ones.
    found = list_standings(project.name, ledger, store, limit + 1, before)
    older = found[limit - 1].version.version if len(found) > limit else None
    return ProjectModels(project, found[:limit], older)
