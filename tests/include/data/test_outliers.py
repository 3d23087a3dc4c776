import numpy as np
import pyarrow as pa
import pytest

from benchmarks.validation_rows import make_manifest
from include.data.outliers import BINS, RANGES, find_conflicts, measure_rows, tabulate_rows


@pytest.fixture
def rows():
    return make_manifest(300)


def replace(rows, name, values):
    return rows.set_column(
        rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values, rows.schema.field(name).type)
    )


def test_numbers_are_those_of_numpy(rows):
    statistics = measure_rows(rows).statistics
    brightness = rows["brightness"].to_numpy()
    assert statistics["brightness_mean"] == pytest.approx(brightness.mean(), abs=1e-5)
    assert statistics["brightness_median"] == pytest.approx(np.median(brightness), abs=1e-5)
    assert statistics["brightness_spread"] == pytest.approx(0.08, rel=0.2)
    assert (statistics["width_median"], statistics["width_std"]) == (64, 0)


def test_images_that_are_all_alike_still_have_a_spread(rows):
    statistics = measure_rows(replace(rows, "saturation", [0.25] * 300)).statistics
    assert statistics["saturation_spread"] == 0.01
    assert statistics["width_spread"] == pytest.approx(3.2)


def test_a_third_of_outliers_does_not_move_the_centre(rows):
    values = rows["brightness"].to_numpy().copy()
    values[:100] = 1.0
    statistics = measure_rows(replace(rows, "brightness", values)).statistics
    assert statistics["brightness_median"] == pytest.approx(0.54, abs=0.03)


def test_every_image_is_in_a_bin_even_white_and_absurd_ones(rows):
    histograms = measure_rows(replace(rows, "brightness", [1.0000001, -3.0, 9.0] * 100)).histograms
    assert {name: (len(counts), sum(counts)) for name, counts in histograms.items()} == dict.fromkeys(
        RANGES, (BINS, 300)
    )


def test_labels_are_counted_without_those_to_come(rows):
    assert measure_rows(replace(rows, "label", ["b", "a", None] * 100)).labels == {"a": 100, "b": 100}


@pytest.mark.parametrize("values", [[None] * 300, [float("nan")] * 300])
def test_a_column_without_values_has_no_numbers(rows, values):
    measures = measure_rows(replace(rows, "contrast", values))
    assert "contrast_mean" not in measures.statistics
    assert sum(measures.histograms["contrast"]) == 0


def test_no_rows_have_no_numbers():
    measures = measure_rows(make_manifest(0))
    assert (measures.labels, measures.statistics) == ({}, {})
    assert len(tabulate_rows(make_manifest(0), {})) == 0


def test_rows_know_what_they_share(rows):
    splits = ["train"] * 300
    splits[1] = "test"
    splits[299] = None
    digests = rows["digest"].to_pylist()
    frame = tabulate_rows(replace(rows, "split", splits), {digests[7]: "5 in again.png"})
    assert frame["splits_of_group"].tolist() == [2, 2, 2, *[1] * 294, 2, 2, 2]
    assert frame["conflicting_label"].dropna().to_dict() == {7: "5 in again.png"}


def copy(rows, number, label, source="again.png"):
    return {"digest": rows["digest"][number].as_py(), "label": label, "source": source}


def test_only_another_label_of_the_same_image_is_a_conflict(rows):
    rows = replace(rows, "label", [None, *["1"] * 299])
    copies = [
        copy(rows, 0, "2"), copy(rows, 1, "1"), copy(rows, 2, None), copy(rows, 3, "1"), copy(rows, 3, "7", "late.png"),
        copy(rows, 3, "8"),
    ]  # fmt: skip
    columns = rows.select(["digest", "label", "source"])
    assert find_conflicts(rows, pa.Table.from_pylist(copies, columns.schema)) == {copies[4]["digest"]: "7 in late.png"}
    assert find_conflicts(rows, columns.schema.empty_table()) == {}


def test_an_unlabelled_image_whose_copies_disagree_is_a_conflict(rows):
    rows = replace(rows, "label", [None] * 300)
    copies = pa.Table.from_pylist(
        [copy(rows, 0, "2"), copy(rows, 0, "3")], rows.select(["digest", "label", "source"]).schema
    )
    assert list(find_conflicts(rows, copies).values()) == ["2 in again.png"]
