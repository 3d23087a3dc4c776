import math

import numpy as np
import pyarrow as pa
import pytest

from include.errors import ContractViolationError
from include.monitoring.layers import METHODS, REQUIRED, require_columns, weigh_features

CORE = {name: [0.5, 0.6] for name in REQUIRED[:-1]} | {"predicted": ["a", "b"]}


def test_every_feature_of_both_sides_is_weighed():
    more = {"noise": [0.1, 0.2], "embedding": [[1.0, 2.0]] * 2, "probabilities": [[0.5, 0.5]] * 2}
    weighed = weigh_features(pa.table(CORE | more), pa.table(CORE | more))
    assert {one.feature: one.layer for one in weighed} == {
        **dict.fromkeys(("brightness", "contrast", "sharpness", "noise", "entropy"), "image"),
        "embedding": "embedding",
        "confidence": "prediction",
        "probabilities": "prediction",
        "predicted": "prediction",
    }
    assert all(one.feature in METHODS and math.isfinite(one.log_e) for one in weighed)


@pytest.mark.parametrize("value", [[], None, [float("nan"), 1.0], "absent"])
def test_vectors_that_are_not_there_are_left_out(value: object):
    window = CORE | {"embedding": pa.array([value, value], pa.list_(pa.float32()))} if value != "absent" else CORE
    weighed = weigh_features(pa.table(CORE | {"embedding": [[1.0, 2.0]] * 2}), pa.table(window))
    assert "embedding" not in [one.feature for one in weighed]


def test_rows_without_a_value_are_left_out():
    window = {**CORE, "brightness": [None, math.inf, 0.5], "predicted": [None, "a", "b"]}
    window |= {name: [0.5] * 3 for name in CORE if name not in ("brightness", "predicted")}
    sizes = {one.feature: len(one.window) for one in weigh_features(pa.table(CORE), pa.table(window))}
    assert (sizes["brightness"], sizes["predicted"], sizes["contrast"]) == (1, 2, 3)


def test_vectors_of_another_length_are_refused():
    tables = [pa.table(CORE | {"embedding": [[1.0] * length] * 2}) for length in (2, 3)]
    with pytest.raises(ContractViolationError, match="vectors of 2 numbers, the window of 3"):
        weigh_features(*tables)


@pytest.mark.parametrize("broken", [[None, None], [math.nan, math.inf], []])
def test_a_column_without_values_is_refused(broken: list[float]):
    table = pa.table({name: values for name, values in CORE.items() if name != "entropy"})
    if broken:
        table = table.append_column("entropy", pa.array(broken, pa.float64()))
    with pytest.raises(ContractViolationError, match="a/b has no values of entropy"):
        require_columns(table, "a/b")


def test_ranks_of_vectors_are_drawn_beside_even_ones():
    chance = np.random.default_rng(1)
    tables = [
        pa.table(
            {name: [0.5] * 300 for name in REQUIRED}
            | {"embedding": (chance.normal(size=(300, 4)) + shift).astype(np.float32).tolist()}
        )
        for shift in (0, 3)
    ]
    found = next(one for one in weigh_features(*tables) if one.feature == "embedding")
    assert found.reference.mean() == pytest.approx(0.5)
    assert found.window.mean() > 0.9
