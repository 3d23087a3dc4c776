"""The pages of one dataset: its versions and their quality, and the difference between two of them."""

from typing import TYPE_CHECKING

from include.errors import ArtifactNotFoundError
from windhover.ui.templates import render

if TYPE_CHECKING:
    from include.contracts import DatasetDiffReport, DatasetRef
    from include.ledger import Ledger
    from include.project import Project
    from include.storage import Store

SHOWN = 60
PICTURES = 24


def render_dataset(project: "Project", store: "Store", ledger: "Ledger") -> str:
    """Render versions, quality over time, releases, erasures and readers of a project's dataset as HTML."""
    from include.data.catalogue import locate_datasheet
    from include.ledger.approvals import list_quarantine_releases
    from include.ledger.consumers import list_consumers
    from include.ledger.datasets import list_reads, list_versions
    from include.ledger.erasures import list_erasures, list_marked_models
    from include.ledger.quality import list_validations

    name = project.name
    versions = list_versions(ledger, name)
    written = set(store.list(f"{name}/reports/datasheets", "index.html"))
    return render(
        "dataset.html",
        project=project,
        versions=versions,
        datasheets={one.version: page for one, _ in versions if (page := locate_datasheet(one)) in written},
        validations=list_validations(ledger, name),
        failed={one.partition for one in list_validations(ledger, name, passed=False)},
        releases=list_quarantine_releases(ledger, name),
        erasures=list_erasures(ledger, name),
        consumers=list_consumers(ledger, name),
        marked=list_marked_models(ledger, name),
        reads=list_reads(ledger, name),
        shown=SHOWN,
    )


def render_difference(project: "Project", before: int, after: int, store: "Store", ledger: "Ledger") -> str:
    """Render what one dataset version has that another has not as HTML.

    :raises ArtifactNotFoundError: a version was never published, or is gone.
    """
    from include.data.pictures import read_pictures
    from include.data.versions import diff_versions
    from include.ledger.datasets import list_versions

    versions = list_versions(ledger, project.name)
    known = {one.version: one for one, _ in versions}
    difference = diff_versions(_pick(known, project, before), _pick(known, project, after), store)
    gone = read_pictures(difference.before, difference.removed[:PICTURES], store)
    return render(
        "difference.html",
        project=project,
        difference=difference,
        versions=versions,
        pictures=gone | read_pictures(difference.after, _shown_now(difference), store),
        shown=PICTURES,
    )


def _shown_now(difference: "DatasetDiffReport") -> list[str]:
    return [*difference.added[:PICTURES], *list(difference.relabelled)[:PICTURES]]


def _pick(known: "dict[int, DatasetRef]", project: "Project", version: int) -> "DatasetRef":
    if version not in known:
        raise ArtifactNotFoundError(f"{project.name} has no dataset version {version}; choose one from its page")
    return known[version]
