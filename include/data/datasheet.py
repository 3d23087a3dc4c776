"""Write down what a dataset version is made of: one self-contained page, and a look at the pictures beside it.

Sections after Gebru et al., "Datasheets for Datasets" (CACM 64(12), 2021).
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import DatasetRef, ExpectationReport, ValidationReport
from include.data.catalogue import locate_datasheet
from include.data.eda import COLUMNS, PAGES, SPLITS, count_classes, render_eda
from include.ledger import Ledger
from include.ledger.datasets import list_partitions
from include.ledger.quality import find_release
from include.project import Project
from include.storage import Store
from include.vision.images import read_rows

# Below this many labelled images of a class, a metric of the class has a wide error.
FEW_IMAGES = 30
UNEVEN = 10
NAMED_ROWS = 5
COUNTS = ("seen", "accepted", "duplicates", "quarantined")


@dataclass(frozen=True)
class Issue:
    """One expectation a published partition did not meet."""

    partition: str
    expectation: ExpectationReport
    released: str | None


def describe_dataset(project: Project, dataset: DatasetRef, store: Store, ledger: Ledger) -> str:
    """Write the datasheet of a version, and `eda.html` beside it; return its address. What is there already stays.

    The manifest of the version is read into memory, of its images a bounded number.

    :raises ArtifactNotFoundError: the version is gone, or holds other content than the one referred to.
    """
    address = locate_datasheet(dataset)
    if store.exists(address):
        return address
    rows = read_rows(dataset, store, [*COLUMNS, "subject", "known_at", "observed_at"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "index.html").write_text(_render(project, dataset, rows, ledger), encoding="utf-8")
        (folder / "eda.html").write_text(render_eda(project, dataset, rows, store), encoding="utf-8")
        store.publish_folder(folder, address.removesuffix("/index.html"))
    return address


def _render(project: Project, dataset: DatasetRef, rows: pa.Table, ledger: Ledger) -> str:
    days = _count_days(rows)
    reports = {day: one for day, one in list_partitions(ledger, project.name).items() if day in days}
    observed, known = rows["observed_at"], rows["known_at"]
    return PAGES.get_template("datasheet.html").render(
        project=project,
        dataset=dataset,
        balance=count_classes(rows, project.classes),
        days=days,
        reports=reports,
        delivered={name: sum(getattr(one, name) for one in reports.values()) for name in COUNTS},
        reasons=_add_up(reports.values()),
        issues=_list_issues(reports, ledger),
        limits=_list_limits(project, rows),
        observed=pc.min_max(observed).as_py(),
        known=pc.min_max(known).as_py(),
        groups=len(rows["group"].unique()),
        subjects=len(rows["subject"].drop_null().unique()),
        splits=SPLITS,
        named_rows=NAMED_ROWS,
    )


def _count_days(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Count the images of every partition, and those with a label, in partition order."""
    counted = rows.group_by("partition").aggregate([("digest", "count"), ("label", "count")]).sort_by("partition")
    return {
        one["partition"]: {"images": one["digest_count"], "labelled": one["label_count"]} for one in counted.to_pylist()
    }


def _add_up(reports: Iterable[ValidationReport]) -> dict[str, int]:
    """Add up quarantined files by reason, the most frequent first."""
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report.reasons)
    return dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0])))


def _list_issues(reports: Mapping[str, ValidationReport], ledger: Ledger) -> list[Issue]:
    """List every broken expectation, with the reason for which an approver let the partition pass."""
    return [
        Issue(day, expectation, find_release(ledger, report))
        for day, report in sorted(reports.items())
        for expectation in report.expectations
        if not expectation.success
    ]


def _list_limits(project: Project, rows: pa.Table) -> list[str]:
    """Say, from the counts alone, what this version cannot carry."""
    balance = count_classes(rows, project.classes)
    unlabelled = balance.pop()["total"]
    totals = {one["label"]: one["total"] for one in balance}
    limits = []
    if missing := [label for label, total in totals.items() if not total]:
        limits.append(f"No image of {_name(missing)}: a model trained on it cannot know them.")
    if few := [label for label, total in totals.items() if 0 < total < FEW_IMAGES]:
        limits.append(f"Fewer than {FEW_IMAGES} images of {_name(few)}: their metrics have wide errors.")
    if unseen := [one["label"] for one in balance if one["total"] and not one["parts"][SPLITS.index("test")]]:
        limits.append(f"No test image of {_name(unseen)}: the test split cannot speak for them.")
    present = [total for total in totals.values() if total]
    if present and max(present) > UNEVEN * min(present):
        limits.append(
            f"Uneven: the largest class has {max(present) / min(present):.0f} times the images of the smallest."
        )
    if unlabelled:
        limits.append(
            f"{unlabelled / rows.num_rows:.1%} of the images have no label; nothing is trained or measured on them."
        )
    if len(rows["partition"].unique()) == 1:
        limits.append("One partition only: how the data change over time cannot be told.")
    return limits


def _name(labels: Sequence[str]) -> str:
    named = ", ".join(labels[:NAMED_ROWS])
    return named if len(labels) <= NAMED_ROWS else f"{named} and {len(labels) - NAMED_ROWS} more classes"
