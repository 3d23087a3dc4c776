import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import ModelRef, ModelVersionRef, ReleaseRef
from include.data.dataset import create_dataset, hold_dataset, record_version
from include.data.remnants import find_golden, remove_remnants
from include.ledger.releases import record_release, start_rollout
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.releases import release_address
from include.vision.schema import IMAGES
from tests.include.rows import make_row


@pytest.fixture
def rows(digit_images):
    return [make_row(pixels, label, index) for index, (pixels, label) in enumerate(digit_images[:6])]


@pytest.fixture
def write(any_store, tmp_path):
    """Publish a folder of Parquet files."""

    def publish(address, **tables):
        folder = tmp_path / digest_bytes(address.encode())[7:]
        folder.mkdir()
        for name, table in tables.items():
            pq.write_table(table, folder / f"{name}.parquet")
        any_store.publish_folder(folder, address)

    return publish


@pytest.fixture
def remove(project, any_store, ledger):
    def remove(*images, subject=None, versions=(), golden=None):
        return remove_remnants(project, any_store, ledger, images, subject, versions, golden or {})

    return remove


def named(*digests, **columns):
    return pa.table({"digest": pa.array(digests, pa.string()), **columns})


def test_staged_folders_that_name_the_image_go_with_the_bytes_beside_it(write, remove, any_store, rows):
    gone, kept = rows[0]["digest"], rows[1]["digest"]
    write("digits/staging/2026-03-01/shard-0", manifest=named(gone, kept), bytes=pa.table({"image": [b"x", b"y"]}))
    write("digits/staging/2026-03-01/shard-1", manifest=named(kept), bytes=pa.table({"image": [b"y"]}))
    write("digits/staging/2026-03-02/shard-0", copies=named(gone))
    files, pending = remove(gone)
    assert files == ("digits/staging/2026-03-01/shard-0", "digits/staging/2026-03-02/shard-0")
    assert pending == ()
    assert not any(any_store.exists(address) for address in files)
    assert any_store.exists("digits/staging/2026-03-01/shard-1")
    assert remove(gone) == ((), ())


def test_staged_images_of_a_subject_go_even_if_none_was_published(write, remove, rows):
    write("digits/staging/2026-03-01/shard-0", manifest=named("sha256:x", subject=pa.array(["jane"])))
    assert remove(subject="joe") == ((), ())
    assert remove(subject="jane")[0] == ("digits/staging/2026-03-01/shard-0",)


def test_reports_with_pictures_of_removed_versions_go(any_store, remove):
    for name in ("3-aaaa", "13-bbbb"):
        any_store.write(f"digits/reports/datasheets/{name}/index.html", b"page")
    assert remove("sha256:x", versions=(1, 2, 3))[0] == ("digits/reports/datasheets/3-aaaa",)
    assert any_store.exists("digits/reports/datasheets/13-bbbb/index.html")


@pytest.fixture
def release(ledger, any_store, make_dataset):
    """Package a release with one golden image."""

    def package(row, name, dataset):
        digest = digest_bytes(name.encode())
        address = release_address("digits", digest)
        any_store.write(f"{address}/golden/0.png", row["image"])
        model = ModelRef(project="digits", key=digest, run_id=name, weights=digest, dataset=dataset)
        version = ModelVersionRef(model=model, version=1, accuracy=0.9)
        reference = ReleaseRef(model=version, address=address, digest=digest, parity=0.0)
        record_release(ledger, reference)
        return reference

    return package


@pytest.fixture
def make_dataset(any_store, project, ledger):
    def make(rows):
        with hold_dataset(project, ledger, "test") as lease:
            create_dataset(project, any_store)
            table = pa.Table.from_pylist(rows, schema=IMAGES)
            dataset = lance.write_dataset(table, any_store.uri("digits/images.lance"), mode="append")
            return record_version(project, dataset, any_store, ledger, lease)

    return make


def test_a_golden_image_is_known_by_its_pixels_and_its_release_goes_unless_it_may_serve(
    make_dataset, release, remove, project, any_store, ledger, rows, digit_images
):
    dataset = make_dataset(rows)
    assert encode_canonical(digit_images[0][0]) == rows[0]["image"]
    retired, serving, other = (
        release(rows[place], name, dataset) for place, name in ((0, "retired"), (0, "serving"), (1, "other"))
    )
    start_rollout(ledger, serving, "run-1")
    found = find_golden(project, any_store, [rows[0]["digest"]], {retired.digest, serving.digest, other.digest})
    assert found == {one.digest: one.address for one in (retired, serving)}
    files, pending = remove(rows[0]["digest"], golden=found)
    assert (files, pending) == ((retired.address,), (serving.digest,))
    assert any_store.exists(f"{serving.address}/golden/0.png")
    assert any_store.exists(f"{other.address}/golden/0.png")


def test_unpacked_sources_go_whatever_they_hold(remove, any_store):
    any_store.write("digits/collected/2026-03-01/0123/images/1.png", b"image")
    any_store.write("leaves/collected/2026-03-01/0123/images/1.png", b"image")
    assert remove("sha256:x")[0] == ("digits/collected/2026-03-01",)
    assert any_store.list("leaves/collected")
