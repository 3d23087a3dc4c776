from datetime import UTC, datetime

import pytest

from include.contracts import ModelRef, ModelVersionRef, ReleaseRef
from include.data.lineage import trace_image, trace_prediction, trace_source
from include.errors import ArtifactNotFoundError
from include.ledger.models import record_candidate
from include.ledger.releases import record_release
from include.predictions import PREDICTIONS, append_rows
from include.storage import digest_bytes
from tests.include.rows import make_row


@pytest.fixture
def rows(digit_images):
    return [
        make_row(pixels, label, index, partition=f"2026-03-0{1 + index // 6}")
        for index, (pixels, label) in enumerate(digit_images[:12])
    ]


@pytest.fixture
def release(ledger):
    """Train on a dataset version and package the model."""

    def record(dataset, name):
        key = digest_bytes(name.encode())
        model = record_candidate(ledger, ModelRef(project="digits", key=key, run_id=name, weights=key, dataset=dataset))
        version = ModelVersionRef(model=model, version=1, accuracy=0.9)
        release = ReleaseRef(model=version, address=f"digits/releases/{name}", digest=key, parity=0.0)
        record_release(ledger, release)
        return release

    return record


def answer(store, release, *requests):
    values = dict.fromkeys(PREDICTIONS.names, None)
    rows = [
        values
        | {"request_id": one, "time": datetime(2026, 3, 5, tzinfo=UTC), "project": "digits", "release": release.digest}
        for one in requests
    ]
    append_rows(store, "predictions", "-".join(requests), rows)


def test_an_image_is_followed_to_every_version_model_release_and_answer(publish_rows, release, any_store, ledger, rows):
    first = publish_rows(rows[:6])
    second = publish_rows(rows[6:])
    releases = [release(first, "early"), release(second, "late")]
    answer(any_store, releases[0], "a", "b")
    answer(any_store, releases[1], "c")
    report = trace_image("digits", rows[0]["digest"], any_store, ledger)
    assert report.versions == (first.version, second.version)
    assert report.models == {one.model.model.key: one.model.model.run_id for one in releases}
    assert set(report.releases) == {one.digest for one in releases}
    assert (report.predictions, report.sources, report.partitions) == (3, (rows[0]["source"],), ("2026-03-01",))
    newer = trace_image("digits", rows[6]["digest"], any_store, ledger)
    assert (newer.versions, newer.releases, newer.predictions) == ((second.version,), (releases[1].digest,), 1)


def test_a_delivered_file_is_followed_to_the_images_it_became(publish_rows, any_store, ledger, rows):
    rows[7]["source"] = rows[2]["source"]
    publish_rows(rows)
    traced = trace_source("digits", rows[2]["source"], any_store, ledger)
    assert {one.image for one in traced} == {rows[2]["digest"], rows[7]["digest"]}


def test_an_answer_is_followed_back_to_its_data(publish_rows, release, any_store, ledger, rows):
    dataset = publish_rows(rows)
    packaged = release(dataset, "model")
    answer(any_store, packaged, "request-1")
    report = trace_prediction("digits", "request-1", any_store, ledger)
    assert (report.release, report.run_id, report.dataset) == (packaged.digest, "model", dataset)
    assert report.partitions == {"2026-03-01": 6, "2026-03-02": 6}


def test_what_nobody_knows_is_an_error_that_says_where_to_look(publish_rows, any_store, ledger, rows):
    with pytest.raises(ArtifactNotFoundError, match="ever held"):
        trace_image("digits", rows[0]["digest"], any_store, ledger)
    with pytest.raises(ArtifactNotFoundError, match="quarantine"):
        trace_source("digits", "nowhere.png", any_store, ledger)
    with pytest.raises(ArtifactNotFoundError, match="no request 'x'"):
        trace_prediction("digits", "x", any_store, ledger)
