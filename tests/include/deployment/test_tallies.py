from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from include.deployment.sequential import Split
from include.deployment.tallies import count_rows
from include.predictions import SCHEMAS

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
OURS, THEIRS, STRANGER = ("sha256:" + letter * 64 for letter in "abc")
CANARY = {7: 0.0, 8: 0.05, 9: 0.25}


def answer(request, revision, variant, second=0, **fields):
    row = {"request_id": request, "time": START + timedelta(seconds=second), "revision": revision, "variant": variant}
    return "predictions", {"predicted": "3", **row, **fields}


def compare(request, revision, second=0, first=THEIRS, other=OURS, **fields):
    row = {"request_id": request, "time": START + timedelta(seconds=second), "revision": revision}
    row |= {"champion_release": first, "champion_predicted": "3", "champion_ms": 2.0}
    return "comparisons", row | {"other_release": other, "other_predicted": "3", "other_ms": 3.0} | fields


def label(request, label, second=0):
    return "feedback", {"request_id": request, "time": START + timedelta(seconds=second), "label": label}


def count(*rows, weights=CANARY, by_key=False):
    tables = {
        kind: pa.Table.from_pylist([row for other, row in rows if other == kind], schema=schema)
        for kind, schema in SCHEMAS.items()
    }
    return count_rows(tables, weights, OURS, by_key=by_key)


def test_an_empty_log_counts_nothing():
    for counts in (count(), count(weights={})):
        assert counts.requests == {}
        assert (counts.assigned, counts.failed, counts.labelled, counts.wrong) == ((), (), (), ())
        assert (counts.run, counts.compared, counts.answered, len(counts.slowdowns)) == (0, 0, 0, 0)


def test_rows_count_by_the_share_of_their_revision_and_those_of_others_do_not():
    counts = count(
        answer("a", 6, "champion"), answer("b", 8, "champion"), answer("c", 8, "candidate"),
        answer("d", 9, "candidate"), answer("e", 9, "candidate"), answer("f", None, "candidate"),
        answer("g", 10, "candidate"),
    )  # fmt: skip
    assert counts.requests == {0.05: 1, 0.25: 2}
    assert counts.assigned == (Split(0.05, 1, 1), Split(0.25, 2, 0))
    assert counts.run == 3


def test_a_row_written_twice_counts_once():
    rows = [answer("a", 8, "candidate", failed="no"), compare("a", 8), label("a", "5")] * 2
    counts = count(*rows)
    assert counts.requests == {0.05: 1}
    assert (counts.run, counts.run_failed, counts.compared, counts.compared_labelled) == (1, 1, 1, 1)
    assert counts.failed == counts.labelled == counts.wrong == (Split(0.05, 1, 0),)


def test_an_answer_by_nobody_is_a_failure():
    counts = count(
        answer("a", 8, "candidate", failed="NaN"), answer("b", 8, "champion", predicted=None),
        compare("c", 8, other_predicted=None), compare("d", 8, champion_failed="NaN", champion_predicted=None),
        compare("e", 8, champion_failed="NaN", other_failed="NaN"),
    )  # fmt: skip
    assert counts.failed == (Split(0.05, 1, 1),)
    assert (counts.run, counts.run_failed) == (4, 3)
    assert (counts.compared, counts.failed_alone, counts.other_failed_alone, counts.answered) == (3, 1, 1, 0)


def test_as_champion_a_release_has_all_the_traffic_and_the_first_place_in_comparisons():
    counts = count(
        answer("a", 7, "champion"), answer("b", 8, "champion", failed="late"),
        compare("b", 8, first=OURS, other=THEIRS, champion_predicted="5"), label("b", "5"),
        weights={7: 0.0, 8: 1.0},
    )  # fmt: skip
    assert counts.requests == {1.0: 1}
    assert counts.assigned == (Split(0.0, 0, 1), Split(1.0, 1, 0))
    assert counts.slowdowns.tolist() == pytest.approx([2 / 3])
    assert (counts.improved, counts.worsened, counts.differing) == (1, 0, 1)


def test_comparisons_of_other_releases_do_not_count():
    counts = count(compare("a", 8, other=STRANGER), compare("b", 8, first=OURS), compare("c", 6))
    assert counts.compared == counts.run == 0


@pytest.mark.parametrize("time", [float("nan"), 0.0, -1.0, float("inf"), None])
def test_a_time_that_is_none_is_not_compared(time):
    counts = count(compare("a", 8, other_ms=time), compare("b", 8, champion_ms=time), compare("c", 8))
    assert counts.slowdowns.tolist() == [1.5]
    assert counts.answered == 3


def test_labels_tell_who_of_the_two_was_right_and_the_last_one_holds():
    counts = count(
        *(compare(name, 8, other_predicted="5") for name in "abcd"), compare("e", 8, other_failed="NaN"),
        label("a", "3"), label("b", "5"), label("c", "9"), label("d", "3"), label("d", "5", second=9), label("e", "3"),
    )  # fmt: skip
    assert (counts.compared_labelled, counts.worsened, counts.improved) == (4, 1, 2)


def test_a_key_counts_once_however_often_it_asks_and_fails():
    rows = [answer(f"a{number}", 8, "candidate", number, key="k", failed="NaN") for number in range(5)]
    rows += [answer("b", 8, "champion", key="l"), answer("c", 8, "champion"), label("a1", "5"), label("a2", "3")]
    counts = count(*rows, weights={8: 0.5}, by_key=True)
    assert counts.assigned == (Split(0.5, 1, 2),)
    assert counts.failed == counts.labelled == counts.wrong == (Split(0.5, 1, 0),)
    assert counts.requests == {0.5: 5}
    assert count(*rows, weights={8: 0.5}).assigned == (Split(0.5, 5, 2),)


def test_a_key_counts_where_it_came_first():
    counts = count(
        answer("a", 9, "candidate", 9, key="k"), answer("b", 8, "champion", 1, key="k"), by_key=True
    )  # fmt: skip
    assert counts.assigned == (Split(0.05, 0, 1),)


def test_rows_in_another_order_are_the_same_evidence():
    rows = [answer(f"r{n}", 8 + n % 2, "candidate" if n % 3 else "champion", n) for n in range(30)]
    rows += [compare(f"r{n}", 8, n, other_predicted=str(n % 4)) for n in range(30)]
    rows += [label(f"r{n}", str(n % 5), n) for n in range(0, 30, 2)]
    forth, back = count(*rows), count(*reversed(rows))
    for name in ("requests", "assigned", "wrong", "labelled", "run", "differing", "worsened", "improved"):
        assert getattr(forth, name) == getattr(back, name)
