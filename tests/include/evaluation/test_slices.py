import numpy as np
import pyarrow as pa
import pytest

from include.evaluation.slices import WORST, measure_slices
from include.project import EvaluationConfig, SliceConfig

ROWS = pa.table(
    {
        "label": ["cat", "cat", "dog", "dog", "dog", "dog"],
        "source": [
            f"2026-03-01/images/{name}.png" for name in ("left/1", "left/2", "left/3", "right/1", "right/2", "x")
        ],
        "partition": ["2026-03-01"] * 6,
        "group": ["g1", "g1", "g2", "g2", "g3", "g3"],
        "brightness": pa.array([0.1, 0.1, 0.1, 0.5, 0.6, 0.9], pa.float32()),
        "width": pa.array([10, 10, 10, 40, 40, 90], pa.int32()),
        "height": pa.array([10, 10, 10, 10, 10, 40], pa.int32()),
    }
)
RIGHT = np.array([True, False, True, True, True, False])


def measure(by, min_images=1, rows=ROWS, right=RIGHT):
    reports, measures = measure_slices([SliceConfig(name="part", by=by, min_images=min_images)], rows, right)
    return {one.value: (one.images, one.accuracy, one.enough) for one in reports}, measures


@pytest.mark.parametrize(
    ("by", "found"),
    [
        ("class", {"cat": (2, 0.5), "dog": (4, 0.75)}),
        ("source", {"images/left": (3, 2 / 3), "images/right": (2, 1.0), "images": (1, 0.0)}),
        ("partition", {"2026-03-01": (6, 4 / 6)}),
        ("group", {"g1": (2, 0.5), "g2": (2, 1.0), "g3": (2, 0.5)}),
        ("brightness", {"0.1 to 0.1": (3, 2 / 3), "0.5 to 0.5": (1, 1.0), "0.6 to 0.9": (2, 0.5)}),
        ("size", {"10 to 10": (3, 2 / 3), "20 to 20": (2, 1.0), "60 to 60": (1, 0.0)}),
    ],
)
def test_accuracy_of_each_value_by_hand(by, found):
    slices, _ = measure(by)
    assert slices == {value: (images, pytest.approx(accuracy), True) for value, (images, accuracy) in found.items()}


@pytest.mark.parametrize("kind", [pa.float32(), pa.null()])
def test_what_was_never_measured_is_unknown(kind):
    column = ROWS.schema.get_field_index("brightness")
    values = [None] * 6 if kind == pa.null() else [None, None, 0.1, 0.2, 0.3, None]
    slices, _ = measure("brightness", rows=ROWS.set_column(column, "brightness", pa.array(values, kind)))
    assert slices["unknown"][0] == sum(value is None for value in values)


def test_the_gap_and_the_worst_by_hand():
    assert measure("source")[1] == pytest.approx({"gap_part": 1.0, "worst_slice_accuracy": 0.0})
    assert measure("class")[1] == pytest.approx({"gap_part": 0.25, "worst_slice_accuracy": 0.5})


def test_too_few_images_prove_nothing():
    slices, measures = measure("source", min_images=2)
    assert slices["images"] == (1, 0.0, False)
    assert measures == pytest.approx({"gap_part": 1 / 3, "worst_slice_accuracy": 2 / 3})


def test_without_evidence_there_is_no_measure():
    assert measure("source", min_images=100)[1] == {}
    assert measure("partition")[1] == pytest.approx({"worst_slice_accuracy": 4 / 6})
    assert measure_slices([], ROWS, RIGHT) == ((), {})


def test_the_worst_slice_is_the_worst_of_all_declared():
    declared = [SliceConfig(name="a", by="class", min_images=1), SliceConfig(name="b", by="group", min_images=1)]
    right = np.array([True, True, False, False, True, True])
    reports, measures = measure_slices(declared, ROWS, right)
    assert measures == {"gap_a": 0.5, "gap_b": 1.0, "worst_slice_accuracy": 0.0}
    assert [one.value for one in reports] == ["dog", "cat", "g2", "g1", "g3"]


def test_a_thousand_groups_are_all_judged_and_the_worst_named():
    rows = pa.table({"group": [f"g{index:04}" for index in range(2000)]})
    right = np.arange(2000) != 1999
    slices, measures = measure("group", rows=rows, right=right)
    assert len(slices) == WORST
    assert next(iter(slices)) == "g1999"
    assert measures["worst_slice_accuracy"] == 0


def test_two_slices_of_one_name_are_refused():
    with pytest.raises(ValueError, match="use a name twice"):
        EvaluationConfig(slices=[SliceConfig(name="a", by="class"), SliceConfig(name="a", by="group")])
