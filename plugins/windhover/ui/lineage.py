"""The page that follows an image to everything that saw it, and a file to the images it became."""

from itertools import groupby
from typing import TYPE_CHECKING

from include.settings import load_settings
from windhover.ui.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts import DatasetRef, LineageReport
    from include.data.pictures import Picture
    from include.ledger import Ledger
    from include.project import Project
    from include.storage import Store


def render_lineage(
    project: "Project", store: "Store", ledger: "Ledger", *, image: str | None = None, source: str | None = None
) -> str:
    """Render the lineage of an image, or of every image a delivered file became; of neither: the form that asks.

    :raises ArtifactNotFoundError: no dataset version of the project ever held it.
    """
    from include.ledger.consumers import list_consumers
    from include.ledger.datasets import list_versions
    from include.ledger.erasures import list_forgotten, list_marked_models

    reports = _trace(project, store, ledger, image, source)
    versions = [one for one, _ in list_versions(ledger, project.name)]
    return render(
        "lineage.html",
        project=project,
        source=source,
        reports=reports,
        ranges={report.image: join_ranges(report.versions) for report in reports},
        pictures=_read_pictures(reports, versions, store),
        consumers={one.key: one for one in list_consumers(ledger, project.name)},
        forgotten=list_forgotten(ledger, project.name),
        marked=list_marked_models(ledger, project.name),
        # As `Tracking.run_url` has it; that module would load MLflow into the web server.
        runs=f"{load_settings().mlflow_page}/#/runs",
    )


def join_ranges(numbers: "Sequence[int]") -> str:
    """Write ascending numbers as `1 to 4, 7`."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), key=lambda one: one[1] - one[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _trace(
    project: "Project", store: "Store", ledger: "Ledger", image: str | None, source: str | None
) -> "list[LineageReport]":
    from include.data.lineage import trace_image, trace_source

    if image:
        return [trace_image(project.name, image, store, ledger)]
    return trace_source(project.name, source, store, ledger) if source else []


def _read_pictures(
    reports: "Sequence[LineageReport]", versions: "Sequence[DatasetRef]", store: "Store"
) -> "dict[str, Picture]":
    """Read each image from the newest version that holds it; one that is gone has no picture."""
    from include.data.pictures import read_pictures
    from include.errors import ArtifactNotFoundError

    pictures: dict[str, Picture] = {}
    for report in reports:
        holding = [one for one in versions if one.version in report.versions]
        try:
            pictures |= read_pictures(holding[0], [report.image], store) if holding else {}
        except ArtifactNotFoundError:
            continue
    return pictures
