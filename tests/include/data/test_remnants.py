from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef
from include.data.remnants import find_golden, remove_remnants
from include.ledger.releases import record_release
from include.storage import digest_bytes
from include.vision.releases import REFERENCE, DecodingLimits, GoldenImage, ReleaseManifest, publish_bundle
from tests.include.rows import make_row
from tests.rollouts import serve


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


def test_answers_about_it_go_with_the_pages_that_show_it(any_store, remove, tmp_path):
    def write_answers(test, *digests):
        file = tmp_path / "answers.parquet"
        pq.write_table(named(*digests), file)
        any_store.write(f"digits/evaluations/{test}/0123456789ab.parquet", file.read_bytes())
        any_store.write(f"digits/reports/evaluation/0123456789ab-{test}/index.html", b"page")

    write_answers("aaaaaaaaaaaa", "sha256:x", "sha256:y")
    write_answers("bbbbbbbbbbbb", "sha256:y")
    any_store.write("digits/reports/explanations/0123456789ab/index.html", b"page")
    files = (
        "digits/evaluations/aaaaaaaaaaaa/0123456789ab.parquet",
        "digits/reports/evaluation/0123456789ab-aaaaaaaaaaaa",
        "digits/reports/explanations/0123456789ab",
    )
    assert remove("sha256:x") == (files, ())
    assert not any(any_store.list(address) or any_store.exists(address) for address in files)
    assert any_store.exists("digits/reports/evaluation/0123456789ab-bbbbbbbbbbbb/index.html")
    assert remove("sha256:x") == ((), ())


def test_answers_to_a_whole_day_go_even_half_done(write, remove, any_store):
    folder = "digits/batch_predictions/2026-03-01"
    write(f"{folder}/aaaa", predictions=named("sha256:x", "sha256:y"))
    write(f"{folder}/bbbb", predictions=named("sha256:y"))
    write(f"{folder}/cccc.shards", **{"0000-of-0002": named("sha256:x"), "0001-of-0002": named("sha256:y")})
    write("leaves/batch_predictions/2026-03-01/aaaa", predictions=named("sha256:x"))
    assert remove("sha256:x") == ((f"{folder}/aaaa", f"{folder}/cccc.shards"), ())
    assert any_store.list("digits/batch_predictions") == [f"{folder}/bbbb/predictions.parquet"]
    assert any_store.list("leaves/batch_predictions")
    assert remove("sha256:x") == ((), ())


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
def release(any_store):
    """Package a release with one golden image."""

    def package(row, name, said=MappingProxyType({})):
        key = digest_bytes(name.encode())
        golden = GoldenImage(file="golden/000.png", image=row["digest"], probabilities=(1.0,), predicted="0")
        manifest = ReleaseManifest(
            project="digits",
            classes=("0", "1"),
            model_version=1,
            model_key=key,
            weights=key,
            dataset=key,
            decoding=DecodingLimits(formats=("PNG",), max_bytes=1, max_pixels=1),
            golden=(golden,),
            tolerance=0.1,
        )
        address, digest = publish_bundle(any_store, manifest, {golden.file: row["image"], **said})
        dataset = DatasetRef(project="digits", address="x", version=1, digest=key, images=1, labelled=1)
        model = ModelRef(project="digits", key=key, run_id=name, weights=key, dataset=dataset)
        version = ModelVersionRef(model=model, version=1, accuracy=0.9)
        return ReleaseRef(model=version, address=address, digest=digest, parity=0.0)

    return package


def test_a_release_with_it_as_a_golden_image_goes_unless_it_may_serve(
    release, remove, project, any_store, ledger, rows
):
    retired, serving, other = (release(rows[place], name) for place, name in ((0, "old"), (0, "new"), (1, "other")))
    record_release(ledger, serving)
    serve(ledger, serving)
    found = find_golden(project, any_store, [rows[0]["digest"]], {retired.digest, serving.digest, other.digest})
    assert found == {one.digest: one.address for one in (retired, serving)}
    assert remove(rows[0]["digest"], golden=found) == ((retired.address,), (serving.digest,))
    left = find_golden(project, any_store, [rows[0]["digest"]], {retired.digest, serving.digest, other.digest})
    assert left == {serving.digest: serving.address}
    assert any_store.exists(other.address)


def test_a_release_that_tells_what_it_said_of_it_goes_too(release, remove, project, any_store, rows):
    with pa.BufferOutputStream() as reference:
        pq.write_table(named(rows[0]["digest"], predicted=["3"]), reference)
    told = release(rows[1], "told", {REFERENCE: reference.getvalue().to_pybytes()})
    found = find_golden(project, any_store, [rows[0]["digest"]], {told.digest})
    assert found == {told.digest: told.address}
    assert remove(rows[0]["digest"], golden=found) == ((told.address,), ())


def test_unpacked_sources_go_whatever_they_hold(remove, any_store):
    any_store.write("digits/collected/2026-03-01/0123/images/1.png", b"image")
    any_store.write("leaves/collected/2026-03-01/0123/images/1.png", b"image")
    assert remove("sha256:x")[0] == ("digits/collected/2026-03-01",)
    assert any_store.list("leaves/collected")


def test_an_archived_model_loses_the_image_that_it_was_asked_about(any_store, remove):
    folder, image = "digits/archive/1/probes", digest_bytes(b"image")
    for name in (image, digest_bytes(b"another")):
        any_store.write(f"{folder}/{name.removeprefix('sha256:')}.png", b"picture")
    files, pending = remove(image)
    assert (files, pending) == ((f"{folder}/{image.removeprefix('sha256:')}.png",), ())
    assert len(any_store.list("digits/archive")) == 1
    assert remove(image) == ((), ())
