import signal
import subprocess
import sys
from pathlib import Path

import lance
import pyarrow as pa
import pytest
from lance.fragment import write_fragments

from include.contracts import ErasureRequest, ModelRef
from include.data.dataset import hold_dataset, open_dataset
from include.data.erasure import forget_images
from include.errors import ContractViolationError, LeaseHeldError, ServiceUnavailableError
from include.ledger.datasets import find_latest_dataset
from include.ledger.erasures import list_erasures, list_forgotten, name_subject
from include.ledger.lineage import find_memberships
from include.ledger.models import record_candidate
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.tracking import ERASED_TAG
from include.vision.images import open_version, read_rows
from include.vision.schema import IMAGES
from tests.include.data.staged_days import stage
from tests.include.rows import make_row

ADDRESS = "digits/images.lance"


@pytest.fixture
def rows(digit_images):
    return [make_row(pixels, label, index) for index, (pixels, label) in enumerate(digit_images[:30])]


@pytest.fixture
def forget(project, any_store, ledger, tracking):
    def erase(*digests, subject=None, tracking=tracking):
        request = ErasureRequest(digests=digests, subject=subject, reason="asked to", requested_by="admin")
        return forget_images(project, request, any_store, ledger, tracking, holder="test")

    return erase


def holds(store, image):
    """Tell whether any file below the store has these bytes, hidden and orphaned ones included."""
    if store.root.startswith("s3://"):
        return any(image in store.read(address) for address in store.list("digits"))
    return any(image in path.read_bytes() for path in Path(store.root).rglob("*") if path.is_file())


def test_no_byte_of_the_image_is_left_and_every_other_image_is(publish_rows, forget, any_store, ledger, rows):
    publish_rows(rows[:10])
    held = publish_rows(rows[10:20])
    publish_rows(rows[20:])
    gone = rows[15]
    assert holds(any_store, gone["image"])
    receipt = forget(gone["digest"])
    assert not holds(any_store, gone["image"])
    newest = find_latest_dataset(ledger, "digits")
    left = read_rows(newest, any_store, ["digest"])["digest"].to_pylist()
    assert sorted(left) == sorted(row["digest"] for row in rows if row is not gone)
    assert receipt.version == newest.version
    assert held.version in receipt.versions
    assert receipt.sources == (gone["source"],)


def test_what_a_killed_publication_left_beside_the_dataset_goes_too(publish_rows, forget, any_store, rows):
    publish_rows(rows[:5])
    orphan = pa.Table.from_pylist(rows[7:9], schema=IMAGES)
    write_fragments(orphan, any_store.uri(ADDRESS), schema=IMAGES, mode="append")
    assert holds(any_store, rows[7]["image"])
    forget(rows[7]["digest"])
    assert not holds(any_store, rows[7]["image"])
    assert lance.dataset(any_store.uri(ADDRESS)).count_rows() == 5


def test_pictures_in_the_reports_of_versions_that_were_cleaned_away_go_too(publish_rows, forget, any_store, rows):
    first, second = publish_rows(rows[:5]), publish_rows(rows[5:])
    for version in (first, second):
        any_store.write(f"digits/reports/datasheets/{version.version}-0123/eda.html", b"picture")
        any_store.write(f"digits/reports/datasheets/{version.version}-0123/index.html", b"page")
    dataset = lance.dataset(any_store.uri(ADDRESS))
    for tag in dataset.tags.list():
        dataset.tags.delete(tag)
    dataset.cleanup_old_versions(versions=[first.version])
    forget(rows[2]["digest"])
    assert any_store.list("digits/reports") == []


def test_versions_from_before_it_came_are_kept(publish_rows, forget, any_store, rows):
    before = publish_rows(rows[:10])
    publish_rows(rows[10:])
    receipt = forget(rows[12]["digest"])
    assert before.version not in receipt.versions
    assert read_rows(before, any_store, ["digest"]).num_rows == 10


def test_an_image_that_was_removed_before_is_erased_from_the_versions_that_held_it(
    publish_rows, forget, any_store, rows
):
    publish_rows(rows[:10])
    lance.dataset(any_store.uri(ADDRESS)).delete(f"digest = '{rows[3]['digest']}'")
    assert holds(any_store, rows[3]["image"])
    forget(rows[3]["digest"])
    assert not holds(any_store, rows[3]["image"])
    assert lance.dataset(any_store.uri(ADDRESS)).count_rows() == 9


def test_all_images_of_a_subject_go_and_its_key_is_kept_nowhere(publish_rows, forget, any_store, ledger, rows):
    for row in rows[4:7]:
        row["subject"] = "jane@example.org"
    publish_rows(rows)
    receipt = forget(subject="jane@example.org")
    assert receipt.images == tuple(sorted(row["digest"] for row in rows[4:7]))
    assert receipt.subject == name_subject("jane@example.org")
    assert "jane" not in receipt.model_dump_json()
    assert not any(holds(any_store, row["image"]) for row in rows[4:7])
    assert not holds(any_store, b"jane@example.org")
    # The same pictures do not come back without their subject, either.
    assert list_forgotten(ledger, "digits") == {name_subject("jane@example.org"), *receipt.images}


def test_asked_again_it_answers_with_the_receipt(publish_rows, forget, ledger, rows):
    publish_rows(rows[:10])
    first = forget(rows[1]["digest"])
    version = find_latest_dataset(ledger, "digits")
    assert forget(rows[1]["digest"]) == first
    assert find_latest_dataset(ledger, "digits") == version
    assert len(list_erasures(ledger, "digits")) == 1


def test_what_was_never_there_is_refused_from_now_on(forget, ledger, rows):
    receipt = forget(rows[0]["digest"])
    assert (receipt.versions, receipt.version, receipt.models) == ((), None, ())
    assert receipt.summary.startswith("nothing was found and no image erased")
    assert "mistyped" in receipt.summary
    assert [one for one, _ in list_erasures(ledger, "digits")] == [receipt]
    assert list_forgotten(ledger, "digits") == {rows[0]["digest"]}


def test_a_mistyped_digest_beside_a_right_one_is_named(publish_rows, forget, rows):
    publish_rows(rows[:5])
    mistyped = digest_bytes(b"mistyped")
    summary = forget(rows[0]["digest"], mistyped).summary
    assert summary.startswith("1 image(s) are gone, with ")
    assert summary.endswith(f"never seen and only refused from now on: {mistyped}")


def test_an_unknown_subject_is_said_to_be_unknown(publish_rows, forget, rows, caplog):
    caplog.set_level("INFO", "include.data.erasure")
    rows[0]["subject"] = "jane"
    publish_rows(rows[:5])
    assert forget(subject="jnae").summary.startswith("nothing was found")
    assert "nothing was found" in caplog.text
    first = forget(subject="jane")
    assert first.summary.startswith("1 image(s) are gone")
    assert forget(subject="jane") == first


def test_what_was_only_staged_is_said_to_be_gone_from_there(forget, any_store, project, rows):
    address = stage(project, pa.Table.from_pylist(rows[:2], schema=IMAGES), any_store).address
    receipt = forget(rows[0]["digest"])
    assert address in receipt.files
    assert receipt.summary.startswith("only staged rows named it: they are gone")


def test_nothing_named_erases_nothing(publish_rows, forget, ledger, rows):
    before = publish_rows(rows[:5])
    with pytest.raises(ContractViolationError, match="nothing was erased"):
        forget()
    assert find_latest_dataset(ledger, "digits") == before
    assert list_forgotten(ledger, "digits") == frozenset()


def test_models_that_learned_from_it_are_marked_where_people_look(
    publish_rows, forget, ledger, tracking, rows, make_model
):
    published = publish_rows(rows[:10])
    model = record_candidate(ledger, make_model(published))
    receipt = forget(rows[2]["digest"])
    assert receipt.models == (model.key,)
    with tracking.connect() as client:
        assert client.get_run(model.run_id).data.tags[ERASED_TAG] == "asked to"


@pytest.fixture
def make_model(tracking):
    def make(dataset):
        with tracking.connect() as client:
            run = client.create_run(tracking.find_experiment(dataset.project))
        key = digest_bytes(run.info.run_id.encode())
        return ModelRef(project=dataset.project, key=key, run_id=run.info.run_id, weights=key, dataset=dataset)

    return make


def test_without_mlflow_the_images_go_and_the_marks_come_with_the_next_attempt(
    publish_rows, forget, any_store, ledger, tracking, dead_tracking, rows, make_model
):
    model = record_candidate(ledger, make_model(publish_rows(rows[:10])))
    with pytest.raises(ServiceUnavailableError):
        forget(rows[2]["digest"], tracking=dead_tracking)
    assert not holds(any_store, rows[2]["image"])
    forget(rows[2]["digest"])
    with tracking.connect() as client:
        assert ERASED_TAG in client.get_run(model.run_id).data.tags


def test_an_erasure_waits_for_a_publication(publish_rows, forget, project, ledger, rows, monkeypatch):
    publish_rows(rows[:5])
    monkeypatch.setattr("include.data.dataset.WAIT_SECONDS", 0.0)
    with hold_dataset(project, ledger, "somebody else"), pytest.raises(LeaseHeldError):
        forget(rows[0]["digest"])
    assert forget(rows[0]["digest"]).versions


ATTEMPT = """
import os, signal, sys
from pathlib import Path
import lance
from include.contracts import ErasureRequest
from include.data import erasure
from include.ledger import Ledger
from include.project import load_project
from include.storage import Store
from include.tracking import Tracking

project, store, uri, mlflow, digest, when, step = sys.argv[1:]
owner, name = {
    "delete": (lance.LanceDataset, "delete"),
    "clean": (lance.LanceDataset, "cleanup_old_versions"),
    "record": (erasure, "record_version"),
    "remnants": (erasure, "remove_remnants"),
    "receipt": (erasure, "record_erasure"),
}[step]
real = getattr(owner, name)
def stepped(*arguments, **options):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, stepped)
request = ErasureRequest(digests=(digest,), reason="asked to", requested_by="admin")
places = Store(store), Ledger(uri), Tracking(mlflow)
erasure.forget_images(load_project(Path(project)), request, *places, holder="test")
"""
STEPS = ("delete", "record", "clean", "remnants", "receipt")


@pytest.mark.parametrize("any_store", ["local"], indirect=True)
@pytest.mark.parametrize("kill", [f"{when} {step}" for step in STEPS for when in ("before", "after")])
def test_a_killed_erasure_is_completed_by_running_it_again(
    publish_rows, forget, project, any_store, ledger, tracking, rows, kill
):
    publish_rows(rows[:10])
    publish_rows(rows[10:])
    file = REPOSITORY / "include" / "projects" / "digits.yaml"
    uri = ledger.url.render_as_string(hide_password=False)
    words = [str(file), any_store.root, uri, tracking.uri, rows[3]["digest"], *kill.split()]
    ended = subprocess.run([sys.executable, "-c", ATTEMPT, *words], cwd=REPOSITORY, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    receipt = forget(rows[3]["digest"])
    assert not holds(any_store, rows[3]["image"])
    assert open_dataset(project, any_store).count_rows() == 29
    assert find_latest_dataset(ledger, "digits").images == 29
    assert [one.until is None for one in find_memberships(ledger, "digits", image=rows[3]["digest"])] == [False]
    assert list_erasures(ledger, "digits")[0][0] == receipt
    assert open_version(find_latest_dataset(ledger, "digits"), any_store).count_rows() == 29
