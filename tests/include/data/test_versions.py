import hashlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.data.publication import publish_partition
from include.data.versions import diff_versions, materialise
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.settings import REPOSITORY
from include.vision.images import select_as_of
from include.vision.schema import IMAGES, MANIFEST_COLUMNS
from tests.include.data.staged_days import make_rows, relabel, stage

DAY, NEXT = "2026-11-02", "2026-11-03"
LATER = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def publish(project, any_store, ledger):
    def publish(rows):
        return publish_partition(project, stage(project, rows, any_store), any_store, ledger, "run-1")

    return publish


def set_label(rows, label):
    for name, value in (("label", label), ("labels", [])):
        column = pa.array([value] * rows.num_rows, IMAGES.field(name).type)
        rows = rows.set_column(IMAGES.get_field_index(name), name, column)
    return rows


def list_files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_a_diff_names_what_came_what_went_and_what_was_relabelled(publish, any_store):
    rows = make_rows(DAY, 5)
    digests = rows["digest"].to_pylist()
    before = publish(rows)
    publish(relabel(rows.slice(1), 0, "9"))
    after = publish(make_rows(NEXT, 2, first=20))
    diff = diff_versions(before, after, any_store)
    assert (diff.before, diff.after) == (before, after)
    assert diff.added == tuple(sorted(make_rows(NEXT, 2, first=20)["digest"].to_pylist()))
    assert diff.removed == (digests[0],)
    assert diff.relabelled == {digests[1]: ("1", "9")}
    back = diff_versions(after, before, any_store)
    assert (back.added, back.removed, back.relabelled) == (diff.removed, diff.added, {digests[1]: ("9", "1")})


def test_a_version_does_not_differ_from_itself(publish, any_store):
    dataset = publish(make_rows(DAY, 5))
    diff = diff_versions(dataset, dataset, any_store)
    assert (diff.added, diff.removed, diff.relabelled) == ((), (), {})


def test_an_image_delivered_on_two_days_is_there_until_both_are_gone(publish, any_store):
    first = publish(make_rows(DAY, 3))
    both = publish(set_label(make_rows(NEXT, 3), None))
    second = publish(make_rows(DAY, 0))
    assert diff_versions(first, both, any_store).relabelled == {}
    diff = diff_versions(both, second, any_store)
    assert (diff.added, diff.removed) == ((), ())
    assert set(diff.relabelled.values()) == {("0", None), ("1", None), ("2", None)}


def test_two_moments_of_one_version_differ_in_what_was_known(publish, any_store):
    dataset = publish(relabel(make_rows(DAY, 3), 1, "9", LATER))
    moments = [select_as_of(dataset, moment, any_store) for moment in (datetime(2026, 11, 3, tzinfo=UTC), LATER)]
    assert list(diff_versions(*moments, any_store).relabelled.values()) == [("1", "9")]


def test_a_version_that_is_gone_cannot_be_compared(publish, any_store):
    dataset = publish(make_rows(DAY, 3))
    with pytest.raises(ArtifactNotFoundError, match="pruned"):
        diff_versions(dataset, dataset.model_copy(update={"version": 99}), any_store)


def test_an_old_version_comes_back_byte_for_byte(publish, any_store, tmp_path):
    rows = make_rows(DAY, 12)
    dataset = publish(rows)
    publish(relabel(rows.slice(6), 0, "9"))
    materialise(dataset, tmp_path / "out" / "export", any_store)
    files = list_files(tmp_path / "out" / "export")
    manifest = pq.read_table(files.pop("manifest.parquet"))
    assert {name: path.read_bytes() for name, path in files.items()} == {
        f"{label}/{digest[7:]}.png": image
        for label, digest, image in zip(*(rows[name].to_pylist() for name in ("label", "digest", "image")), strict=True)
    }
    assert manifest.select(MANIFEST_COLUMNS) == rows.sort_by("digest").select(MANIFEST_COLUMNS)
    for name, digest in zip(manifest["file"].to_pylist(), manifest["digest"].to_pylist(), strict=True):
        assert f"sha256:{hashlib.sha256(files[name].read_bytes()).hexdigest()}" == digest
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["export"]


def test_a_moment_comes_back_without_what_was_learned_later(publish, any_store, tmp_path):
    publish(relabel(make_rows(DAY, 2), 1, "9", LATER))
    dataset = select_as_of(publish(make_rows("2026-12-01", 2, first=9)), datetime(2026, 11, 3, tzinfo=UTC), any_store)
    materialise(dataset, tmp_path / "export", any_store)
    assert {name.partition("/")[0] for name in list_files(tmp_path / "export")} == {"0", "1", "manifest.parquet"}
    manifest = pq.read_table(tmp_path / "export" / "manifest.parquet")
    assert manifest.num_rows == 2
    assert not {"labels", "known_at"} & set(manifest.column_names)


def test_again_is_no_work_and_nothing_else_is_overwritten(publish, any_store, tmp_path):
    dataset = publish(make_rows(DAY, 3))
    materialise(dataset, tmp_path / "export", any_store)
    before = {name: path.stat().st_mtime_ns for name, path in list_files(tmp_path / "export").items()}
    materialise(dataset, tmp_path / "export", any_store)
    assert {name: path.stat().st_mtime_ns for name, path in list_files(tmp_path / "export").items()} == before
    with pytest.raises(ContractViolationError, match="not there yet"):
        materialise(publish(make_rows(NEXT, 1, first=20)), tmp_path / "export", any_store)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ContractViolationError, match="not there yet"):
        materialise(dataset, tmp_path / "mine", any_store)
    assert list((tmp_path / "mine").iterdir()) == []


def test_two_exports_at_once_leave_one(publish, any_store, tmp_path):
    dataset = publish(make_rows(DAY, 3))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: materialise(dataset, tmp_path / "out" / "export", any_store), range(2)))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["export"]
    assert len(list_files(tmp_path / "out" / "export")) == 4


@pytest.mark.parametrize(
    "label", ["..", ".", "", "a/b", "../../out", "a\\b", "_unlabelled", "manifest.parquet", "猫" * 40]
)
def test_no_label_leads_out_or_mixes_with_the_unlabelled(publish, any_store, tmp_path, label):
    publish(set_label(make_rows(DAY, 2), label))
    dataset = publish(set_label(make_rows(NEXT, 3, first=20), None))
    materialise(dataset, tmp_path / "out" / "export", any_store)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["export"]
    folders = [name.split("/") for name in list_files(tmp_path / "out" / "export") if "/" in name]
    assert {len(parts) for parts in folders} == {2}
    assert [parts[0] for parts in folders].count("_unlabelled") == 3
    assert len({parts[0] for parts in folders}) == 2


def test_jpeg_files_are_called_jpg(publish, any_store, tmp_path):
    image = b"\xff\xd8\xff\xdb\x00"
    rows = make_rows(DAY, 1).to_pylist()
    rows[0] |= {"image": image, "digest": f"sha256:{hashlib.sha256(image).hexdigest()}"}
    materialise(publish(pa.Table.from_pylist(rows, schema=IMAGES)), tmp_path / "export", any_store)
    assert [path.suffix for path in (tmp_path / "export" / "0").iterdir()] == [".jpg"]


def test_damaged_bytes_are_refused_and_leave_nothing(publish, any_store, tmp_path):
    rows = make_rows(DAY, 3).to_pylist()
    rows[1]["image"] = b"\x89PNG, other bytes"
    dataset = publish(pa.Table.from_pylist(rows, schema=IMAGES))
    with pytest.raises(ArtifactNotFoundError, match="damaged"):
        materialise(dataset, tmp_path / "out" / "export", any_store)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_empty_version_is_an_empty_folder(publish, any_store, tmp_path):
    publish(make_rows(DAY, 3))
    materialise(publish(make_rows(DAY, 0)), tmp_path / "export", any_store)
    assert list(list_files(tmp_path / "export")) == ["manifest.parquet"]


DYING = """
import os, signal, sys
from pathlib import Path
from include.contracts import DatasetRef
from include.data import versions
from include.storage import Store
store, dataset, folder = sys.argv[1:]
versions.pq.write_table = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
versions.materialise(DatasetRef.model_validate_json(dataset), Path(folder), Store(store))
"""


def test_a_killed_export_leaves_no_folder_under_its_name(project, store, ledger, tmp_path):
    dataset = publish_partition(project, stage(project, make_rows(DAY, 3), store), store, ledger, "run-1")
    folder = tmp_path / "export"
    command = [sys.executable, "-c", DYING, store.root, dataset.model_dump_json(), folder]
    assert subprocess.run(command, cwd=REPOSITORY, check=False, timeout=120).returncode == -signal.SIGKILL
    assert not folder.exists()
    materialise(dataset, folder, store)
    assert len(list_files(folder)) == 4
