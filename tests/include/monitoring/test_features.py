import numpy as np
import pyarrow as pa
import pytest

from include.monitoring.features import describe_features, share_values
from include.predictions import PREDICTIONS


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PREDICTIONS)


def test_a_number_is_summarised_over_the_rows_that_have_it():
    found = {one.feature: one for one in describe_features(table(*({"brightness": i / 100} for i in range(101)), {}))}
    assert set(found) == {"brightness"}
    summary = found["brightness"]
    assert (summary.mean, summary.low, summary.median, summary.high) == pytest.approx((0.5, 0.05, 0.5, 0.95))
    assert summary.deviation == pytest.approx(np.std(np.arange(101) / 100))


def test_uncertainty_is_the_entropy_of_the_probabilities():
    rows = ({"probabilities": p} for p in ([1.0, 0.0], [0.5, 0.5], [], [0.25] * 4))
    (found,) = describe_features(table(*rows))
    assert (found.feature, found.mean, found.median) == ("uncertainty", pytest.approx(1.0), 1.0)


def test_numbers_that_are_none_and_empty_windows_do_no_harm():
    (found,) = describe_features(table({"ood": float("nan")}, {"ood": float("inf")}, {"ood": 2.0}))
    assert (found.feature, found.mean) == ("ood", 2.0)
    assert describe_features(table()) == ()
    assert share_values(table()["predicted"]) == {}


def test_shares_are_of_what_has_a_value_the_largest_first():
    predicted = table(*({"predicted": name} for name in ("b", "c", "a", "c", None)))["predicted"]
    assert list(share_values(predicted).items()) == [("c", 0.5), ("a", 0.25), ("b", 0.25)]
