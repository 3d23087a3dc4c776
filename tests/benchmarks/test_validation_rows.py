import pyarrow.parquet as pq
import pytest

from benchmarks.validation_rows import main, make_manifest, measure, scan, validate
from include.vision.schema import MANIFEST_COLUMNS

ROWS = 3_000


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.parquet"
    pq.write_table(make_manifest(ROWS), path)
    return path


def test_the_measured_rows_have_every_column_that_validation_sees(manifest):
    assert pq.read_schema(manifest).names == MANIFEST_COLUMNS


def test_the_peer_asks_for_less(manifest):
    assert validate(manifest)() > scan(manifest)() > 10


def test_unsound_rows_are_not_measured(tmp_path):
    path = tmp_path / "twice.parquet"
    rows = make_manifest(ROWS)
    pq.write_table(rows.set_column(0, "digest", rows["digest"].take([0] * ROWS)), path)
    for work in (validate, scan):
        with pytest.raises(SystemExit, match="meant to be sound"):
            work(path)()


def test_a_small_partition_is_far_below_the_goal(manifest):
    took = measure("validate", manifest)
    assert 0 < took["seconds"] < 15
    assert took["gigabytes"] < 2


def test_the_table_shows_both(capsys):
    assert main(ROWS) is True
    printed = capsys.readouterr().out
    assert "Great Expectations suite" in printed
    assert "bare pandas" in printed
