import threading

import numpy as np
import pytest

from include.contracts import ReleasePlan
from include.predictions import COMPARISONS
from include.serving import comparing as comparing_module
from include.serving.comparing import Comparer
from include.serving.model import load_model
from include.serving.plan import LivePlan
from include.serving.recorder import Recorder

GREY = np.full((32, 32, 3), 90, np.uint8)


@pytest.fixture
def comparer(settings, store):
    return Comparer(Recorder(settings.home / "serving" / "segments", store))


@pytest.fixture
def make_live(store, make_release):
    def make(**versions) -> LivePlan:
        models = {
            name: load_model(store, make_release(version, fails_above=80 if version > 5 else None))
            for name, version in versions.items()
        }
        plan = ReleasePlan(project="digits", revision=4, **{name: model.release for name, model in models.items()})
        return LivePlan(plan, models["champion"], models.get("candidate"), models.get("previous"))

    return make


def compare(comparer, live, images, wait_until, spill):
    comparer.start()
    for number, image in enumerate(images):
        comparer.offer(live, f"digits-{number:032x}", image)
    rows = wait_until(lambda: len(found := spill()) == len(images) and found, "comparisons")
    comparer.stop()
    return rows


def test_both_answer_and_the_row_tells_how(comparer, make_live, wait_until, spill):
    live = make_live(champion=1, candidate=2, previous=3)
    rows = compare(comparer, live, [GREY, GREY // 2], wait_until, spill)
    assert [row["request_id"][-1] for row in rows] == ["0", "1"]
    for row in rows:
        assert set(row) == {*COMPARISONS.names, "kind"}
        assert (row["kind"], row["project"], row["revision"]) == ("comparisons", "digits", 4)
        assert (row["champion_release"], row["other_release"]) == (
            live.champion.release.digest, live.candidate.release.digest,
        )  # fmt: skip
        assert (row["champion_predicted"], row["other_predicted"]) == ("1", "2")
        assert (row["champion_failed"], row["other_failed"]) == (None, None)
        assert min(row["champion_ms"], row["other_ms"]) > 0
        assert 0.5 < row["difference"] < 1


def test_without_a_candidate_the_former_champion_is_the_other(comparer, make_live, wait_until, spill):
    live = make_live(champion=2, previous=1)
    (row,) = compare(comparer, live, [GREY], wait_until, spill)
    assert row["other_release"] == live.previous.release.digest


def test_a_failure_is_told_and_compared_with_nothing(comparer, make_live, wait_until, spill):
    (row,) = compare(comparer, make_live(champion=1, candidate=7), [GREY], wait_until, spill)
    assert (row["champion_predicted"], row["other_predicted"]) == ("1", None)
    assert "no number" in row["other_failed"]
    assert row["difference"] is None


def test_where_there_is_nothing_to_compare_nothing_is(comparer, make_live, spill):
    comparer.start()
    comparer.offer(make_live(champion=1), "digits-1", GREY)
    comparer.stop()
    assert spill() == []
    assert comparer.dropped == 0


def test_the_models_take_turns_in_coming_first(comparer, make_live, wait_until, spill, monkeypatch):
    asked = []
    attempt = comparing_module._try
    monkeypatch.setattr(comparing_module, "_try", lambda model, image: asked.append(model) or attempt(model, image))
    live = make_live(champion=1, candidate=2)
    compare(comparer, live, [GREY] * 4, wait_until, spill)
    one, other = live.champion, live.candidate
    assert asked == [one, other, other, one, one, other, other, one]


def test_a_full_queue_drops_and_counts_and_never_waits(comparer, make_live):
    live = make_live(champion=1, candidate=2)
    for number in range(comparing_module.MAX_WAITING + 10):
        comparer.offer(live, f"digits-{number:032x}", GREY)
    assert comparer.dropped == 10


def test_an_end_waits_for_the_comparison_under_way_and_for_no_other(
    comparer, make_live, wait_until, spill, monkeypatch
):
    begun, finish = threading.Event(), threading.Event()
    attempt = comparing_module._try
    monkeypatch.setattr(comparing_module, "_try", lambda *asked: begun.set() or (finish.wait(30) and attempt(*asked)))
    live = make_live(champion=1, candidate=2)
    for number in range(3):
        comparer.offer(live, f"digits-{number:032x}", GREY)
    comparer.start()
    assert begun.wait(30)
    stopper = threading.Thread(target=comparer.stop)
    stopper.start()
    wait_until(lambda: comparer._stopping, "the word to stop")
    finish.set()
    stopper.join(30)
    assert [row["request_id"][-1] for row in spill()] == ["0"]


def test_the_queue_is_bounded_in_bytes_too_but_takes_one_image_of_any_size(comparer, make_live):
    live = make_live(champion=1, candidate=2)
    huge = np.zeros((comparing_module.MAX_WAITING_BYTES // 3 + 1, 1, 3), np.uint8)
    comparer.offer(live, "digits-1", huge)
    assert comparer.dropped == 0
    comparer.offer(live, "digits-2", GREY)
    assert comparer.dropped == 1


def test_a_row_that_cannot_be_written_ends_nothing(comparer, make_live, wait_until, spill, monkeypatch, caplog):
    append, failed = comparer._recorder.append, threading.Event()

    def fail_once(kind, row):
        if not failed.is_set():
            failed.set()
            raise OSError("No space left on device")
        append(kind, row)

    monkeypatch.setattr(comparer._recorder, "append", fail_once)
    comparer.start()
    live = make_live(champion=1, candidate=2)
    for number in range(2):
        comparer.offer(live, f"digits-{number:032x}", GREY)
    rows = wait_until(spill, "a comparison")
    comparer.stop()
    assert [row["request_id"][-1] for row in rows] == ["1"]
    assert "No space left" in caplog.text
