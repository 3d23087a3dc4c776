import subprocess
import sys
from datetime import UTC, datetime, timedelta

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.untrained_releases import ReleaseMaker
from include.contracts import BatchReport, BatchShardRef, DatasetRef
from include.deployment import batch
from include.deployment.batch import (
    ANSWERS,
    LINEAGE,
    find_champion,
    locate_shard,
    publish_batch,
    score_partition,
    score_shard,
)
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError
from include.ledger.datasets import list_reads
from include.ledger.erasures import refuse_forever
from include.predictions import read_predictions
from include.settings import REPOSITORY
from include.vision.images import digest_rows
from include.vision.releases import CERTIFICATE, open_graph, open_release, run_graph_with_embedding
from include.vision.schema import IMAGES
from tests.include.rows import make_row
from tests.rollouts import serve

OTHER, DAY = DAYS = "2026-03-02", "2026-03-01"
SIZES = ((32, 32), (20, 40), (7, 9))
ATTEMPT = """
import sys
from include.contracts import DatasetRef, ReleaseRef
from include.deployment.batch import score_partition
from include.ledger import Ledger
from include.storage import Store
dataset, release, store, ledger = sys.argv[1:]
parts = DatasetRef.model_validate_json(dataset), "2026-03-01", ReleaseRef.model_validate_json(release)
print(score_partition(*parts, Store(store), Ledger(ledger), shards=2).model_dump_json())
"""


@pytest.fixture(scope="module")
def pictures():
    """600 images of three sizes, some without a label."""
    noise = np.random.default_rng(4)
    return [noise.integers(0, 256, (*SIZES[i % 3], 3), dtype=np.uint8) for i in range(600)]


@pytest.fixture
def dataset(store, pictures) -> DatasetRef:
    rows = [
        make_row(
            image, None if i % 4 else "1", i, split="train" if i % 5 else "test", partition=OTHER if i < 30 else DAY
        )
        for i, image in enumerate(pictures)
    ]
    table = pa.Table.from_pylist(rows, schema=IMAGES)
    version = lance.write_dataset(table, store.uri("digits/images.lance")).version
    return DatasetRef(
        project="digits", address="digits/images.lance", version=version, digest=digest_rows(table),
        images=600, labelled=150,
    )  # fmt: skip


@pytest.fixture
def maker(project, store, ledger, tmp_path):
    return ReleaseMaker(project, tmp_path / "home", store, ledger)


@pytest.fixture
def release(maker):
    return maker.make(1)


def read_answers(store, report: BatchReport) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(f"{report.address}/{ANSWERS}")))


def test_every_image_of_the_partition_has_the_answer_of_the_release(dataset, release, store, ledger, pictures):
    report = score_partition(dataset, DAY, release, store, ledger, shards=3)
    table = read_answers(store, report)
    version = lance.dataset(store.uri(dataset.address)).to_table(columns=["digest"])
    expected = dict(zip(version["digest"].to_pylist()[30:], pictures[30:], strict=True))
    assert report.images == table.num_rows == 570
    assert table["digest"].to_pylist() == sorted(expected)
    bundle = open_release(store, release)
    graph = open_graph(bundle.graph)
    for row in table.to_pylist()[::40]:
        probabilities, embedding = run_graph_with_embedding(graph, expected[row["digest"]][None])
        assert row["probabilities"] == probabilities[0].tolist()
        assert row["embedding"] == embedding[0].tolist()
        assert row["predicted"] == bundle.manifest.classes[int(probabilities[0].argmax())]
        assert row["confidence"] == max(row["probabilities"])


def test_the_answers_say_what_they_were_made_of(dataset, release, store, ledger):
    report = score_partition(dataset, OTHER, release, store, ledger)
    assert BatchReport.model_validate_json(store.read(f"{report.address}/{LINEAGE}")) == report
    assert (report.dataset, report.partition, report.release) == (dataset, OTHER, release.digest)
    newest = list_reads(ledger, "digits")[0]
    assert (newest.version, newest.purpose) == (dataset.version, "score")
    assert store.list("digits/batch_predictions") == [f"{report.address}/{LINEAGE}", f"{report.address}/{ANSWERS}"]


def test_again_in_other_shards_and_twice_at_once_changes_nothing(dataset, release, store, ledger, ledger_uri):
    arguments = [dataset.model_dump_json(), release.model_dump_json(), store.root, ledger_uri]
    command = [sys.executable, "-c", ATTEMPT, *arguments]
    attempts = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {attempt.communicate()[0].strip() for attempt in attempts}
    assert [attempt.returncode for attempt in attempts] == [0, 0]
    first = BatchReport.model_validate_json(answers.pop())
    assert answers == set()
    content = store.read(f"{first.address}/{ANSWERS}")
    assert score_partition(dataset, DAY, release, store, ledger, shards=5) == first
    store.remove(first.address)
    assert score_partition(dataset, DAY, release, store, ledger, shards=5) == first
    assert store.read(f"{first.address}/{ANSWERS}") == content


def test_until_every_shard_is_there_nothing_is_published(dataset, release, store, ledger):
    shards = [BatchShardRef(dataset=dataset, partition=DAY, release=release, index=i, count=2) for i in range(2)]
    score_shard(shards[0], store)
    with pytest.raises(ArtifactNotFoundError):
        publish_batch(shards, store, ledger)
    assert not store.list("digits/batch_predictions", ANSWERS)
    scored = store.read(locate_shard(shards[0]))
    score_shard(shards[1], store)
    assert store.read(score_shard(shards[0], store)) == scored
    assert publish_batch(shards, store, ledger).images == 570


@pytest.mark.parametrize("when", ["before it is published", "after it was published"])
def test_an_image_erased_meanwhile_is_not_published(dataset, release, store, ledger, when):
    shard = BatchShardRef(dataset=dataset, partition=DAY, release=release, index=0, count=1)
    answers = pq.read_table(pa.BufferReader(store.read(score_shard(shard, store))))
    if when == "after it was published":
        publish_batch([shard], store, ledger)
    refuse_forever(ledger, "digits", [answers["digest"][7].as_py()])
    with pytest.raises(DataQualityError, match="erased"):
        publish_batch([shard], store, ledger)
    assert not store.list("digits/batch_predictions")


def test_scored_images_are_no_answered_requests(dataset, release, store, ledger):
    score_partition(dataset, DAY, release, store, ledger)
    now = datetime.now(UTC)
    assert read_predictions(store, "digits", now - timedelta(days=3_000), now).num_rows == 0


def test_more_shards_than_images_leave_some_empty(dataset, release, store, ledger):
    assert score_partition(dataset, OTHER, release, store, ledger, shards=40).images == 30


def test_an_empty_partition_is_refused(dataset, release, store, ledger):
    with pytest.raises(DataQualityError, match="2026-03-09"):
        score_partition(dataset, "2026-03-09", release, store, ledger)
    assert not store.list("digits/batch_predictions")


def test_a_release_that_lost_its_certificate_scores_nothing(dataset, release, store, ledger):
    (open_release(store, release).folder / CERTIFICATE).unlink()
    with pytest.raises(ContractViolationError, match="damaged"):
        score_partition(dataset, DAY, release, store, ledger)
    assert not store.list("digits/batch_predictions")


def test_an_answer_that_is_no_number_publishes_nothing(dataset, release, store, ledger, monkeypatch):
    broken = np.full((1, 10), np.nan, np.float32)
    monkeypatch.setattr(batch, "run_graph_with_embedding", lambda _, images: (np.repeat(broken, len(images), 0), None))
    with pytest.raises(ContractViolationError, match="no number"):
        score_partition(dataset, DAY, release, store, ledger)
    assert not store.list("digits/batch_predictions")


def test_the_champion_of_a_moment_is_the_one_that_answered_then(maker, ledger):
    before = datetime.now(UTC) - timedelta(days=1)
    first, second = maker.make(1), maker.make(2)
    serve(ledger, first, "one")
    between = datetime.now(UTC)
    serve(ledger, second, "two")
    assert find_champion(ledger, "digits", between) == first
    assert find_champion(ledger, "digits", datetime.now(UTC)) == second
    with pytest.raises(ArtifactNotFoundError, match="deploy a model"):
        find_champion(ledger, "digits", before)
