"""Follow an image to everything that saw it, and an answer back to the data behind it."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import LineageReport, PredictionLineageReport
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.lineage import Membership, find_descendants, find_memberships, list_version_numbers
from include.ledger.releases import find_release
from include.predictions import read_predictions
from include.storage import Store
from include.vision.images import read_rows

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def trace_image(project: str, image: str, store: Store, ledger: Ledger) -> LineageReport:
    """Say where an image came from, and which dataset versions, models, releases and answers followed from it.

    :param image: Digest of the stored image.
    :raises ArtifactNotFoundError: no dataset version of the project ever held it.
    """
    found = find_memberships(ledger, project, image=image)
    if not found:
        raise ArtifactNotFoundError(f"no dataset version of {project} ever held {image}; trace the file it came from")
    descendants = find_descendants(ledger, project, image)
    releases = tuple(sorted({one.release for one in descendants if one.release}))
    return LineageReport(
        project=project,
        image=image,
        sources=tuple(sorted({one.source for one in found})),
        partitions=tuple(sorted({one.partition for one in found})),
        versions=_list_versions(ledger, project, found),
        models={one.model_key: one.run_id for one in descendants},
        releases=releases,
        predictions=_count_answers(project, releases, store),
    )


def trace_source(project: str, source: str, store: Store, ledger: Ledger) -> list[LineageReport]:
    """Trace every image a delivered file became, in the order it did; several where its bytes were replaced.

    :param source: As in the column `source`, a path or URI.
    :raises ArtifactNotFoundError: no accepted image came from it.
    """
    images = dict.fromkeys(one.digest for one in find_memberships(ledger, project, source=source))
    if not images:
        raise ArtifactNotFoundError(
            f"no image of {project} came from {source!r}; was it quarantined, or a duplicate? See the day's quarantine"
        )
    return [trace_image(project, image, store, ledger) for image in images]


def trace_prediction(project: str, request_id: str, store: Store, ledger: Ledger) -> PredictionLineageReport:
    """Say which release, model and dataset version stand behind an answer.

    :raises ArtifactNotFoundError: the prediction log has no such request, or the dataset version is gone.
    """
    answers = _read_answers(project, store)
    row = answers.filter(pc.equal(answers["request_id"], request_id))
    if not row.num_rows:
        raise ArtifactNotFoundError(f"the prediction log of {project} has no request {request_id!r}")
    release = find_release(ledger, project, row["release"][0].as_py())
    model = release.model.model
    partitions = read_rows(model.dataset, store, ["partition"])["partition"].to_pylist()
    return PredictionLineageReport(
        project=project,
        request_id=request_id,
        release=release.digest,
        model=model.key,
        run_id=model.run_id,
        dataset=model.dataset,
        partitions=dict(sorted(Counter(partitions).items())),
    )


def _list_versions(ledger: Ledger, project: str, found: Sequence[Membership]) -> tuple[int, ...]:
    published = list_version_numbers(ledger, project)
    return tuple(number for number in published if any(one.covers(number) for one in found))


def _count_answers(project: str, releases: Sequence[str], store: Store) -> int:
    if not releases:
        return 0
    answers = _read_answers(project, store)
    return int(pc.sum(pc.is_in(answers["release"], pa.array(releases))).as_py() or 0)


def _read_answers(project: str, store: Store) -> pa.Table:
    return read_predictions(store, project, BEGINNING, datetime.now(UTC))
