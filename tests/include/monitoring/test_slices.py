import pyarrow as pa
import pytest

from include.monitoring.slices import describe_slices
from include.predictions import PREDICTIONS
from include.project import EvaluationConfig, SliceConfig
from tests.include.monitoring.conftest import RELEASE


def table(*rows: dict[str, object]) -> pa.Table:
    plain = {"release": RELEASE, "answered_by": "champion", "predicted": "1", "confidence": 0.5, "format": "PNG"}
    return pa.Table.from_pylist([plain | row for row in rows], schema=PREDICTIONS)


@pytest.fixture
def banded(project):
    """Give the project with slices by brightness and size declared."""
    slices = (SliceConfig(name="light", by="brightness"), SliceConfig(name="area", by="size"))
    return project.model_copy(update={"evaluation": EvaluationConfig(slices=slices)})


def test_each_slice_has_its_own_confidence(project, store):
    rows = table({}, {"confidence": 1.0}, {"predicted": "7", "format": None}, {"predicted": "7", "confidence": None})
    found = {(one.slice, one.value): one for one in describe_slices(project, rows, rows, store)}
    assert set(found) == {("answered_by", "champion"), ("predicted", "1"), ("predicted", "7"), ("format", "PNG")}
    assert (found["predicted", "1"].predictions, found["predicted", "1"].confidence) == (2, 0.75)
    assert (found["predicted", "7"].predictions, found["predicted", "7"].confidence) == (2, 0.5)
    assert found["format", "PNG"].predictions == 3


def test_each_slice_is_described_as_the_window_is(project, store):
    slow = {"predicted": "7", "brightness": 0.8, "latency_ms": 90.0, "probabilities": [0.5, 0.5], "failed": "slow"}
    fast = {"brightness": 0.2, "latency_ms": 10.0, "probabilities": [1.0, 0.0]}
    rows = table(fast, fast, slow)
    found = {(one.slice, one.value): one for one in describe_slices(project, rows, rows, store)}
    seven, all_png = found["predicted", "7"], found["format", "PNG"]
    assert (seven.failed, seven.mix, seven.latency_ms) == (1, {"7": 1.0}, {"p50": 90.0, "p95": 90.0, "p99": 90.0})
    assert (seven.means["brightness"], seven.means["uncertainty"]) == (0.8, 1.0)
    assert (all_png.failed, all_png.mix, all_png.means["brightness"]) == (1, {"1": 0.6667, "7": 0.3333}, 0.4)


def test_bands_are_thirds_of_the_certified_images(banded, store, write_reference):
    sizes = {"width": 32.0, "height": 32.0}
    write_reference([{"brightness": value / 9} | sizes for value in range(10)])
    rows = table(*({"brightness": value, "width": 32.0, "height": 64.0} for value in (0.0, 0.2, 0.5, 5.0)))
    found = {(one.slice, one.value): one.predictions for one in describe_slices(banded, rows, rows, store)}
    assert {key: count for key, count in found.items() if key[0] in ("light", "area")} == {
        ("light", "up to 0.333"): 2,
        ("light", "0.333 to 0.667"): 1,
        ("light", "above 0.667"): 1,
        ("area", "above 32"): 4,
    }


def test_a_release_that_is_gone_has_no_bands(banded, store):
    rows = table({"brightness": 0.5})
    assert {one.slice for one in describe_slices(banded, rows, rows, store)} == {"answered_by", "predicted", "format"}
