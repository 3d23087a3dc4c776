import io

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.contracts import ErasureRequest, ModelVersionRef
from include.data.dataset import create_dataset, hold_dataset, locate_dataset, open_dataset, record_version
from include.data.erasure import forget_images
from include.ledger.tables import memberships
from include.registry.certificate import issue_certificate
from include.registry.verify import verify_version
from include.vision.schema import IMAGES
from tests.include.rows import make_row


@pytest.fixture
def rows(digit_images):
    return [make_row(pixels, label, index, split="train") for index, (pixels, label) in enumerate(digit_images[:12])]


@pytest.fixture
def change(quick_project, store, ledger):
    """Change the dataset, and record the version."""

    def run(alter):
        with hold_dataset(quick_project, ledger, "test") as lease:
            create_dataset(quick_project, store)
            alter(store.uri(locate_dataset(quick_project)))
            return record_version(quick_project, open_dataset(quick_project, store), store, ledger, lease)

    return run


@pytest.fixture
def dataset(change, rows):
    return change(lambda uri: lance.write_dataset(pa.Table.from_pylist(rows, schema=IMAGES), uri, mode="append"))


@pytest.fixture
def certified(decide, dataset, quick_project, store, ledger, tracking, rows):
    """The decision that version 1 was certified by; its answers are about the last image."""
    buffer = io.BytesIO()
    answers = {"digest": [rows[-1]["digest"]] * 200, "label": ["0"] * 200, "predicted": ["0"] * 198 + ["1"] * 2}
    pq.write_table(pa.table(answers), buffer)
    address = f"{quick_project.name}/evaluations/test/model.parquet"
    store.write(address, buffer.getvalue())
    decision = decide()
    model = decision.candidate.model.model_copy(update={"dataset": dataset})
    candidate = decision.candidate.model_copy(update={"model": model, "answers": address})
    decision = decision.model_copy(update={"candidate": candidate})
    reference = ModelVersionRef(model=model, version=1, accuracy=0.99)
    issue_certificate(reference, decision, quick_project, store, ledger, tracking)
    return decision


@pytest.fixture
def forget(quick_project, store, ledger, tracking):
    def erase(*digests, who="Ada"):
        request = ErasureRequest(digests=digests, reason="withdrawn", requested_by=who)
        return forget_images(quick_project, request, store, ledger, tracking, holder="test")

    return erase


@pytest.fixture
def verify(quick_project, store, ledger, certified):
    def run():
        report = verify_version(quick_project.name, 1, store, lambda: ledger, lambda one: one.decision)
        return report.valid, {check.check: check.found for check in report.checks}

    return run


def test_a_version_that_images_were_erased_from_says_so_and_still_verifies(verify, forget, rows):
    assert verify()[0]
    forget(rows[3]["digest"])
    forget(rows[4]["digest"], rows[5]["digest"], who="Grace")
    valid, found = verify()
    assert valid
    assert "erased since: 3 of 12 images of version" in found["data"]
    assert "asked by Ada (withdrawn), Grace (withdrawn); the others are accounted for" in found["data"]
    assert found["answers"] == "accuracy counted again: 0.990000"


def test_answers_that_name_an_erased_image_are_accounted_for(verify, forget, rows, certified):
    forget(rows[-1]["digest"])
    valid, found = verify()
    assert valid
    assert found["answers"] == f"erased since: {certified.candidate.answers}, asked by Ada (withdrawn)"


def test_answers_that_nobody_erased_are_missing(verify, forget, rows, store, certified):
    forget(rows[3]["digest"])
    store.remove(certified.candidate.answers)
    valid, found = verify()
    assert not valid
    assert "is gone, and no erasure on record removed it" in found["answers"]


def test_what_was_replaced_by_a_publication_is_accounted_for(verify, forget, rows, change):
    forget(rows[3]["digest"])
    change(lambda uri: lance.dataset(uri).delete(f"digest = '{rows[7]['digest']}'"))
    assert verify()[0]


def test_an_image_that_vanished_beside_an_erasure_is_not(verify, forget, rows, change, ledger):
    forget(rows[3]["digest"])
    lost = rows[7]["digest"]
    change(lambda uri: lance.dataset(uri).delete(f"digest = '{lost}'"))
    with ledger.begin() as connection:
        connection.execute(sa.update(memberships).where(memberships.c.digest == lost).values(until_version=None))
    valid, found = verify()
    assert not valid
    assert f"no erasure on record took {lost}" in found["data"]


def test_a_version_that_nobody_erased_from_is_missing(verify, store, quick_project):
    store.remove(locate_dataset(quick_project))
    valid, found = verify()
    assert not valid
    assert "no erasure on record removed version" in found["data"]
