import io
from datetime import datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from include.monitoring.features import NUMBERS
from include.monitoring.profile import clean_windows, profile_predictions
from include.monitoring.series import read_series
from include.predictions import PREDICTIONS, append_rows
from include.project import Project
from include.storage import Store, digest_bytes
from tests.include.monitoring.conftest import END, RELEASE, START

OLDER = digest_bytes(b"older")


def test_an_empty_window_has_no_release_and_no_table(store: Store, project: Project):
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.predictions, profile.address) == (None, 0, None)
    assert read_series(store, project.name, START) == [profile]
    assert store.list("", "*.parquet") == []


def test_only_the_release_that_answered_last_counts(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:30], release=OLDER)
    log_traffic(digit_rows[:20], start=START + timedelta(minutes=30))
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.predictions) == (RELEASE, 20)
    table = pq.read_table(io.BytesIO(store.read(profile.address)))
    assert table.schema == PREDICTIONS
    assert set(table["release"].to_pylist()) == {RELEASE}
    assert profile_predictions(project, START, START + timedelta(minutes=30), store).release == OLDER


def test_the_window_is_half_open(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:10])
    assert profile_predictions(project, START, START + timedelta(seconds=9), store).predictions == 9


def test_profiling_twice_gives_the_same_address(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:20])
    first = profile_predictions(project, START, END, store)
    assert profile_predictions(project, START, END, store) == first
    assert len(store.list(f"{project.name}/profiles", "*.parquet")) == 1
    assert read_series(store, project.name, START) == [first]
    assert digest_bytes(store.read(first.address)).removeprefix("sha256:") in first.address


def test_what_comes_later_changes_no_frozen_profile(store: Store, project: Project, digit_rows, log_traffic):
    log_traffic(digit_rows[:20])
    first = profile_predictions(project, START, END, store)
    before = store.read(first.address)
    log_traffic(digit_rows[:5], start=START + timedelta(minutes=10))
    second = profile_predictions(project, START, END, store)
    assert second.address != first.address
    assert second.predictions == 25
    assert store.read(first.address) == before


@pytest.fixture
def log_rows(store: Store, project: Project, digit_rows):
    """Give a function that logs one request for each set of changes to a plain answer."""

    def log(*changes: dict[str, object], start: datetime = START) -> None:
        plain = {"project": project.name, "release": RELEASE, "model_version": 1, "variant": "champion"}
        plain |= {"answered_by": "champion", "probabilities": [0.9, 0.1], "latency_ms": 1.0, "format": "PNG"}
        rows = [
            digit_rows[index]
            | plain
            | {"request_id": f"{start:%H%M}-{index}", "time": start + timedelta(seconds=index)}
            | change
            for index, change in enumerate(changes)
        ]
        append_rows(store, "predictions", f"rows-{start:%H%M}", rows)

    return log


def test_what_an_odd_image_looked_like_counts_and_what_no_model_said_does_not(store, project, log_rows):
    nobody = {"predicted": None, "confidence": None, "probabilities": [], "failed": "champion: broken"}
    log_rows(
        {},
        {"answered_by": "abstain", "ood": 3.5},
        {"answered_by": "previous", "failed": "champion: broken"},
        nobody | {"answered_by": "baseline", "predicted": "1", "confidence": 0.1},
        nobody | {"answered_by": "abstain"},
        {"answered_by": "candidate", "variant": "candidate", "release": OLDER},
        {"answered_by": "abstain", "variant": "candidate", "release": OLDER, "ood": 4.0},
    )
    profile = profile_predictions(project, START, START + timedelta(minutes=2), store)
    table = pq.read_table(io.BytesIO(store.read(profile.address)))
    assert table["request_id"].to_pylist() == ["1200-0", "1200-1", "1200-2"]
    assert (profile.predictions, profile.failed, profile.abstained, profile.per_minute) == (3, 3, 3, 2.0)
    answered_by = {part.value: part for part in profile.slices if part.slice == "answered_by"}
    assert {name: part.predictions for name, part in answered_by.items()} == {
        "abstain": 3, "baseline": 1, "candidate": 1, "champion": 1, "previous": 1
    }  # fmt: skip
    assert (answered_by["abstain"].abstained, answered_by["champion"].abstained) == (1, 0)


def test_one_answer_of_the_release_before_does_not_make_the_window_its_own(store, project, log_rows):
    fallback = {"answered_by": "previous", "failed": "champion: broken", "release": OLDER}
    log_rows({}, {}, fallback | {"answered_by": "abstain"}, fallback)
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.predictions) == (RELEASE, 2)


def test_a_window_that_only_the_release_before_has_answered_is_its_own(store, project, log_rows):
    log_rows(*[{"answered_by": "previous", "failed": "champion: broken", "release": OLDER}] * 2)
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.predictions) == (OLDER, 2)


def test_a_profile_stays_small_with_every_number_of_every_slice(store, project, digit_rows, log_rows):
    chance = np.random.default_rng(2)
    log_rows(*(
        {"predicted": str(number % 20), "format": ("PNG", "JPEG")[number % 2]}
        | dict(zip(NUMBERS, chance.random(len(NUMBERS)).tolist(), strict=True))
        for number in range(200)
    ))  # fmt: skip
    profile = profile_predictions(project, START, END, store)
    assert {len(part.means) for part in profile.slices} == {len(profile.features)}
    assert len(profile.slices) > 20
    assert len(profile.model_dump_json()) < 50_000


def test_a_window_nobody_could_answer_is_counted_all_the_same(store, project, log_rows):
    nobody = {"predicted": None, "confidence": None, "probabilities": [], "answered_by": "abstain", "failed": "broken"}
    log_rows(nobody, nobody)
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.address, profile.predictions) == (None, None, 0)
    assert (profile.failed, profile.abstained, profile.per_minute) == (2, 2, 0)


def test_a_window_says_how_fast_and_what_was_answered(store, project, log_rows):
    log_rows(*({"latency_ms": float(ms), "predicted": "7" if ms > 25 else "1"} for ms in range(1, 101)))
    profile = profile_predictions(project, START, START + timedelta(minutes=10), store)
    assert profile.per_minute == 10
    assert profile.latency_ms == pytest.approx({"p50": 50.5, "p95": 95.05, "p99": 99.01})
    assert list(profile.mix.items()) == [("7", 0.75), ("1", 0.25)]
    assert profile.formats == {"PNG": 1.0}


@pytest.fixture
def by_count(project: Project) -> Project:
    """Give the project with windows of 30 predictions."""
    policy = project.monitoring.model_copy(update={"window_predictions": 30})
    return project.model_copy(update={"monitoring": policy})


def test_a_window_by_count_goes_on_until_it_is_full(store, by_count, digit_rows, log_traffic):
    hour = timedelta(hours=1)
    for number, size in enumerate((10, 15, 12, 40, 5)):
        log_traffic(digit_rows[:size], start=START + number * hour)
    found = [profile_predictions(by_count, START + n * hour, END + n * hour, store) for n in range(5)]
    assert [(one.predictions, one.address is not None) for one in found] == [
        (10, False), (25, False), (37, True), (40, True), (5, False)
    ]  # fmt: skip
    assert [one.start for one in found] == [START, START, START, START + 3 * hour, START + 4 * hour]
    again = [profile_predictions(by_count, START + n * hour, END + n * hour, store) for n in (4, 2, 0, 1, 3)]
    assert again == [found[n] for n in (4, 2, 0, 1, 3)]


def test_nothing_counts_in_two_windows_by_count(store, by_count, digit_rows, log_traffic):
    log_traffic(digit_rows[:40])
    first = profile_predictions(by_count, START, END, store)
    late = profile_predictions(by_count, START + timedelta(seconds=20), END + timedelta(hours=1), store)
    assert (first.predictions, late.predictions, late.start) == (40, 0, END)


def test_a_check_that_did_not_take_place_leaves_no_hole_in_windows_by_count(store, by_count, digit_rows, log_traffic):
    for number in range(3):
        log_traffic(digit_rows[:40], start=START + timedelta(hours=number))
    first = profile_predictions(by_count, START, END, store)
    third = profile_predictions(by_count, END + timedelta(hours=1), END + timedelta(hours=2), store)
    assert (first.predictions, third.start, third.predictions) == (40, END, 80)


def test_profiling_joins_the_files_of_days_that_are_over(store, project, digit_rows, log_traffic):
    for minute in range(5):
        log_traffic(digit_rows[:4], start=START + timedelta(minutes=minute))
    assert len(store.list(f"{project.name}/predictions")) == 5
    assert profile_predictions(project, START, END, store).predictions == 20
    assert len(store.list(f"{project.name}/predictions")) == 1


def test_the_window_before_tells_what_has_changed(store, project, digit_rows, log_traffic):
    log_traffic(digit_rows[:50])
    first = profile_predictions(project, START, END, store)
    dark = [row | {"brightness": row["brightness"] / 4} for row in digit_rows[:50]]
    log_traffic(dark, start=END)
    second = profile_predictions(project, END, END + timedelta(hours=1), store)
    assert first.changes == ()
    assert [change.partition(" is ")[0] for change in second.changes] == ["brightness"]


def test_windows_that_no_label_can_change_any_more_are_removed_and_stay_in_the_series(
    store: Store, project: Project, digit_rows, log_traffic
):
    log_traffic(digit_rows[:20])
    old = profile_predictions(project, START, END, store)
    log_traffic(digit_rows[:30], start=START + timedelta(days=20))
    recent = profile_predictions(project, START + timedelta(days=20), END + timedelta(days=20), store)
    now = END + timedelta(days=project.monitoring.performance.label_days + 1)
    assert clean_windows(project, store, now) == [old.address]
    assert clean_windows(project, store, now) == []
    assert store.exists(recent.address)
    assert read_series(store, project.name, START) == [old, recent]
