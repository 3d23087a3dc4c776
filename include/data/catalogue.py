"""The catalogue: what data there is, whose it is, how good it is, and who uses it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.contracts import DatasetRef, ValidationReport
from include.ledger import Ledger
from include.ledger.approvals import list_quarantine_releases
from include.ledger.consumers import Consumer, list_consumers
from include.ledger.datasets import list_reads, list_versions
from include.ledger.quality import list_validations
from include.project import Project

RECENT = 14


@dataclass(frozen=True)
class CatalogueEntry:
    """One project's dataset.

    :ivar latest: Newest version; none before the first publication.
    :ivar quality: Latest validation of the last partitions, oldest first.
    :ivar failed: Partitions whose latest validation did not pass.
    :ivar released: Addresses of partition contents that an approver let pass all the same.
    :ivar consumers: Models trained on any version, newest first.
    :ivar reads: How often any version was read, by purpose.
    """

    project: Project
    latest: DatasetRef | None
    published_at: datetime | None
    versions: int
    quality: tuple[ValidationReport, ...]
    failed: frozenset[str]
    released: frozenset[str]
    consumers: tuple[Consumer, ...]
    reads: dict[str, int]

    @property
    def datasheet(self) -> str | None:
        """Address of the newest version's datasheet."""
        return locate_datasheet(self.latest) if self.latest else None


def locate_datasheet(dataset: DatasetRef) -> str:
    """Address of the datasheet of a dataset version."""
    digest = dataset.digest.removeprefix("sha256:")
    return f"{dataset.project}/reports/datasheets/{dataset.version}-{digest[:12]}/index.html"


def read_catalogue(projects: Sequence[Project], ledger: Ledger) -> list[CatalogueEntry]:
    """Read one entry per project, in the order given."""
    return [_read_entry(project, ledger) for project in projects]


def _read_entry(project: Project, ledger: Ledger) -> CatalogueEntry:
    versions = list_versions(ledger, project.name)
    latest, published_at = versions[0] if versions else (None, None)
    return CatalogueEntry(
        project=project,
        latest=latest,
        published_at=published_at,
        versions=len(versions),
        quality=tuple(list_validations(ledger, project.name)[-RECENT:]),
        failed=frozenset(one.partition for one in list_validations(ledger, project.name, passed=False)),
        released=frozenset(one.content for one in list_quarantine_releases(ledger, project.name)),
        consumers=tuple(list_consumers(ledger, project.name)),
        reads=dict(sorted(Counter(one.purpose for one in list_reads(ledger, project.name)).items())),
    )
