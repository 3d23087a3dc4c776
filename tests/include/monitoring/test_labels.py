"""How labels find their answers; what is made of them is in test_performance.py."""

from datetime import timedelta

import numpy as np
import pytest

from include.monitoring.labels import choose_window, read_labelled, tell_hours, tell_right
from include.monitoring.profile import profile_predictions
from include.predictions import append_rows
from tests.include.monitoring.conftest import END, RELEASE, START

PREFIX = f"{RELEASE[7:10]}-{START:%H%M}"


def label(store, project, labels: dict[int, str], *, after: timedelta) -> None:
    rows = [
        {"request_id": f"{PREFIX}-{number}", "time": END + after, "project": project.name, "label": text}
        for number, text in labels.items()
    ]
    append_rows(store, "feedback", f"{after.total_seconds():.0f}", rows)


def test_a_label_finds_its_answer_at_any_delay_and_the_last_of_several_counts(store, project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    profile = profile_predictions(project, START, END, store)
    assert read_labelled(project, profile, store).num_rows == 0
    first, second = (digit_rows[number]["predicted"] for number in range(2))
    label(store, project, {0: "wrong", 1: second}, after=timedelta(minutes=1))
    label(store, project, {0: first}, after=timedelta(days=3))
    found = read_labelled(project, profile, store)
    assert sorted(found["request_id"].to_pylist()) == [f"{PREFIX}-0", f"{PREFIX}-1"]
    assert tell_right(found).tolist() == [True, True]
    assert np.diff(tell_hours(found)) == pytest.approx(72 - 1 / 60)


def test_a_window_keeps_what_was_asked_within_it(store, project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    profile = profile_predictions(project, START, END, store)
    label(store, project, dict.fromkeys(range(10), "0"), after=timedelta(0))
    half = profile.model_copy(update={"end": START + timedelta(seconds=5)})
    assert choose_window(read_labelled(project, profile, store), half).num_rows == 5
