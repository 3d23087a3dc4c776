import tempfile
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from benchmarks.validation_rows import DAY, MOMENT, make_manifest
from include.data.checks import Check
from include.data.expectations import MAX_NAMED_ROWS, hold_rows, run_checks
from include.data.history import name_parameters
from include.data.outliers import tabulate_rows
from include.data.suites import load_suite

ROWS = 60


@pytest.fixture
def manifest():
    """Sixty rows as merging gives them; the last has no label yet."""
    rows = make_manifest(ROWS)
    return put(put(rows, "label", None, ROWS - 1), "known_at", None, ROWS - 1)


def put(rows, column, value, *places):
    values = rows[column].to_pylist()
    for place in places:
        values[place] = value
    field = rows.schema.field(column)
    return rows.set_column(rows.schema.get_field_index(column), field, pa.array(values, field.type))


@pytest.fixture
def hold(project):
    """Hold rows against the project's suite, without history; give what is broken by column, and who is withdrawn."""

    def hold(rows, conflicts=None, suite=None):
        def parameters(measures):
            return name_parameters(DAY, measures, (), project.classes, datetime.now(UTC))

        outcomes, withdrawn = hold_rows(suite or load_suite(project), rows, conflicts or {}, parameters)
        return [one.report for one in outcomes if not one.report.success], withdrawn

    return hold


def source(number):
    return f"measured/{DAY}/images/shot-{number:07d}.png"


def test_a_sound_manifest_meets_everything_up_to_the_last_moment_of_its_day(hold, manifest):
    assert hold(manifest) == ([], {})
    late = MOMENT.replace(hour=23, minute=59, second=59, microsecond=999_999)
    rows = put(put(manifest, "observed_at", late, 0), "known_at", late, 0)
    assert hold(rows) == ([], {})


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        pytest.param("group", None, "value for group. (group is", id="no-group"),
        pytest.param("label", "eleven", "classes, or missing. (label is eleven)", id="unknown-class"),
        pytest.param("width", 7, "usable, in pixels. (width is 7)", id="too-narrow"),
        pytest.param("height", 125_001, "usable, in pixels. (height is 125001)", id="too-high"),
        pytest.param(
            "observed_at", MOMENT - timedelta(hours=8, microseconds=1), "day (UTC). (observed_at", id="before"
        ),
        pytest.param(
            "known_at", MOMENT - timedelta(seconds=1), "label came after the image. (known_at", id="label-first"
        ),
    ],
)
def test_a_row_that_breaks_something_is_set_aside_with_what_it_broke(hold, manifest, column, value, found):
    broken, withdrawn = hold(put(manifest, column, value, 3))
    assert list(withdrawn) == [source(3)]
    reason, detail = withdrawn[source(3)]
    assert reason == "failed_expectation"
    assert found in detail
    assert {(one.on_failure, one.rows) for one in broken} == {("quarantine", (source(3),))}


def test_the_day_ends_at_midnight(hold, manifest):
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    rows = put(put(manifest, "observed_at", midnight, 3), "known_at", midnight, 3)
    assert "observed on the partition's day" in hold(rows)[1][source(3)][1]


def test_everything_a_row_broke_is_said(hold, manifest):
    _, withdrawn = hold(put(put(manifest, "width", 7, 3), "label", "eleven", 3))
    assert withdrawn[source(3)][1].count(";") == 1


def test_a_label_conflict_has_its_own_reason_and_names_the_other_label(hold, manifest):
    _, withdrawn = hold(manifest, {manifest["digest"][5].as_py(): "7 in again.png"})
    assert withdrawn == {
        source(5): ("label_conflict", "Identical images have one label. (conflicting_label is 7 in again.png)")
    }


@pytest.mark.parametrize(
    ("column", "value", "expectation"),
    [
        pytest.param("digest", f"sha256:{1:064x}", "expect_column_values_to_be_unique", id="twice"),
        pytest.param("split", "holdout", "expect_column_values_to_be_in_set", id="unknown-split"),
        pytest.param("split", None, "expect_column_values_to_not_be_null", id="no-split"),
        pytest.param("split", "test", "expect_column_values_to_be_between", id="leak"),
        pytest.param("brightness", 128.0, "expect_column_values_to_be_between", id="unit"),
    ],
)
def test_a_fault_of_the_pipeline_stops_and_withdraws_nothing(hold, manifest, column, value, expectation):
    broken, withdrawn = hold(put(manifest, column, value, 0))
    stopping = [one for one in broken if one.on_failure == "stop"]
    assert withdrawn == {}
    assert expectation in {one.expectation for one in stopping}
    assert all(source(0) in one.rows for one in stopping)


def test_a_column_of_another_type_or_none_stops(hold, manifest):
    broken, _ = hold(
        manifest.set_column(manifest.schema.get_field_index("width"), "width", manifest["width"].cast("int64"))
    )
    assert [(one.column, one.observed) for one in broken] == [("width", "int64")]
    broken, _ = hold(manifest.drop_columns("subject"))
    assert {one.on_failure for one in broken} == {"stop"}
    assert broken[0].observed == "missing subject"


def test_outliers_are_shown_and_stay(hold, manifest):
    broken, withdrawn = hold(put(put(manifest, "contrast", 0.5, 1), "width", 640, 2))
    assert withdrawn == {}
    assert {(one.column, one.on_failure, one.rows) for one in broken} == {
        ("contrast", "warn", (source(1),)),
        ("width", "warn", (source(2),)),
    }


def test_outliers_go_to_quarantine_where_the_suite_says_so(hold, project, manifest):
    suite = [
        check.model_copy(update={"on_failure": "quarantine"}) if "width_median" in check.parameters else check
        for check in load_suite(project)
    ]
    broken, withdrawn = hold(put(manifest, "width", 640, 2), suite=suite)
    assert list(withdrawn) == [source(2)]
    assert {one.on_failure for one in broken} == {"quarantine"}


def test_one_class_alone_is_out_of_balance(hold, manifest):
    (broken,) = hold(put(manifest, "label", "3", *range(ROWS)))[0]
    assert (broken.on_failure, broken.column) == ("warn", "label")
    assert "3 has 100% instead of 10%" in broken.observed
    assert "threshold 0." in broken.requirement


def test_what_has_nothing_to_compare_with_is_not_checked_and_says_so(project, manifest):
    def parameters(measures):
        return name_parameters(DAY, measures, (), project.classes, datetime.now(UTC))

    outcomes, _ = hold_rows(load_suite(project), manifest, {}, parameters)
    unchecked = [one.report for one in outcomes if not one.report.checked]
    assert len(unchecked) == 10
    assert all(one.success and "fewer than 3 good partitions" in one.observed for one in unchecked)


def test_all_bad_rows_are_counted_and_withdrawn_and_nothing_left_is_no_pass(hold, manifest):
    broken, withdrawn = hold(put(manifest, "width", 3, *range(ROWS)))
    assert len(withdrawn) == ROWS
    (width,) = [one for one in broken if one.column == "width"]
    assert (width.unexpected, len(width.rows)) == (ROWS, MAX_NAMED_ROWS)
    assert [one.expectation for one in broken if one.on_failure == "stop"] == ["expect_table_row_count_to_be_between"]


def test_an_expectation_that_cannot_be_checked_stops_though_it_should_only_warn(manifest):
    check = Check(
        expectation="expect_column_values_to_match_regex", kwargs={"column": "source", "regex": "("}, on_failure="warn"
    )
    (outcome,) = run_checks(tabulate_rows(manifest, {}), [check], {})
    assert (outcome.report.success, outcome.report.checked, outcome.report.on_failure) == (False, False, "stop")
    assert outcome.report.observed.startswith("could not be checked: ")


def test_expectations_speak_great_expectations_words_with_our_numbers(manifest):
    check = Check(
        expectation="expect_column_values_to_be_between",
        kwargs={"column": "width", "max_value": {"$PARAMETER": "width_median * 2"}},
    )
    (outcome,) = run_checks(tabulate_rows(manifest, {}), [check], {"width_median": 16.0})
    assert outcome.report.requirement == "width values must be less than or equal to 32."
    assert outcome.report.observed == "60 of 60 rows: 64"


def test_validation_leaves_nothing_behind(hold, manifest, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    hold(manifest)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""
