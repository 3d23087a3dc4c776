from datetime import UTC, datetime, timedelta

import lance
import pyarrow as pa
import pytest

from include.contracts import DatasetRef
from include.deployment import batch_plan
from include.deployment.batch_plan import plan_batch, select_release
from include.errors import ArtifactNotFoundError, DataQualityError
from include.vision.images import digest_rows
from include.vision.schema import IMAGES
from tests.include.rows import make_row
from tests.rollouts import serve

DAY = "2026-03-01"


@pytest.fixture
def dataset(store, digit_images) -> DatasetRef:
    rows = [make_row(pixels, label, i, partition=DAY) for i, (pixels, label) in enumerate(digit_images[:9])]
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    version = lance.write_dataset(table, store.uri("digits/images.lance")).version
    return DatasetRef(
        project="digits",
        address="digits/images.lance",
        version=version,
        digest=digest_rows(table),
        images=9,
        labelled=9,
    )


@pytest.mark.parametrize(("each", "count"), [(9, 1), (8, 2), (1, 4), (1_000, 1)])
def test_few_images_are_divided_among_few_tasks(project, dataset, release_of, store, monkeypatch, each, count):
    monkeypatch.setattr(batch_plan, "SHARD_IMAGES", each)
    shards = plan_batch(_parallel(project, 4), dataset, DAY, release_of(1), store)
    assert [shard.index for shard in shards] == list(range(count))
    assert {(shard.count, shard.partition, shard.dataset) for shard in shards} == {(count, DAY, dataset)}


def test_a_day_without_images_is_not_planned(project, dataset, release_of, store):
    with pytest.raises(DataQualityError, match="2026-03-02"):
        plan_batch(project, dataset, "2026-03-02", release_of(1), store)


def test_the_champion_of_the_moment_answers_unless_a_version_is_named(ledger, release_of):
    assert select_release("digits", ledger, None, datetime.now(UTC)) is None
    first, second = release_of(1), release_of(2)
    serve(ledger, first)
    now = datetime.now(UTC)
    assert select_release("digits", ledger, None, now) == first
    assert select_release("digits", ledger, None, now - timedelta(hours=1)) is None
    assert select_release("digits", ledger, 2, now - timedelta(hours=1)) == second
    with pytest.raises(ArtifactNotFoundError, match="version 7"):
        select_release("digits", ledger, 7, now)


def _parallel(project, shards):
    return project.model_copy(update={"data": project.data.model_copy(update={"shards": shards})})
