import tempfile
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from include.data.expectations import MAX_NAMED_ROWS, run_expectations, summarise
from include.storage import digest_bytes

DAY = "2026-11-02"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def manifest():
    """Thirty rows as ingestion writes them; the last has no label yet."""
    rows = [
        {
            "digest": digest_bytes(str(number).encode()),
            "partition": DAY,
            "group": f"specimen-{number}",
            "label": str(number % 10),
            "split": "train",
            "source": f"images/{number:02d}.png",
            "captured_at": NOON,
            "known_at": NOON + timedelta(days=1),
            "width": 32,
            "height": 32,
        }
        for number in range(30)
    ]
    rows[-1] |= {"label": None, "known_at": None}
    return pd.DataFrame(rows)


def failed(project, manifest):
    reports = summarise(run_expectations(project, DAY, manifest))
    return {(one.expectation, one.column): one for one in reports if not one.success}


def test_a_sound_manifest_meets_every_expectation(project, manifest):
    assert failed(project, manifest) == {}
    manifest["captured_at"] = datetime(2026, 11, 2, 23, 59, 59, 999_999, tzinfo=UTC)
    assert failed(project, manifest) == {}


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        pytest.param("digest", digest_bytes(b"1"), "expect_column_values_to_be_unique", id="duplicate"),
        pytest.param("group", None, "expect_column_values_to_not_be_null", id="no-group"),
        pytest.param("label", "eleven", "expect_column_values_to_be_in_set", id="unknown-class"),
        pytest.param("split", "holdout", "expect_column_values_to_be_in_set", id="unknown-split"),
        pytest.param("width", 7, "expect_column_values_to_be_between", id="too-narrow"),
        pytest.param("height", 125_001, "expect_column_values_to_be_between", id="too-high"),
        pytest.param(
            "captured_at", datetime(2026, 11, 3, tzinfo=UTC), "expect_column_values_to_be_between", id="next-day"
        ),
        pytest.param(
            "known_at",
            NOON - timedelta(seconds=1),
            "expect_column_pair_values_a_to_be_greater_than_b",
            id="label-before-image",
        ),
    ],
)
def test_a_bad_value_fails_its_own_expectation_and_names_its_row(project, manifest, column, value, expectation):
    manifest.loc[0, column] = value
    (broken,) = failed(project, manifest).items()
    assert broken[0] == (expectation, column)
    assert "images/00.png" in broken[1].rows
    assert broken[1].unexpected == len(broken[1].rows) <= 2


def test_all_bad_rows_are_counted_and_the_first_named(project, manifest):
    manifest["split"] = "holdout"
    (broken,) = failed(project, manifest).values()
    assert broken.unexpected == 30
    assert broken.rows == tuple(f"images/{number:02d}.png" for number in range(MAX_NAMED_ROWS))


def test_an_empty_manifest_is_no_pass(project, manifest):
    assert set(failed(project, manifest.head(0))) == {("expect_table_row_count_to_be_between", None)}


def test_an_expectation_that_cannot_be_checked_failed_and_says_why(project, manifest):
    (broken,) = failed(project, manifest.drop(columns="width")).values()
    assert broken.column == "width"
    assert broken.rows == ('Error: The column "width" in BatchData does not exist.',)


def test_validation_leaves_nothing_behind(project, manifest, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run_expectations(project, DAY, manifest)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""
