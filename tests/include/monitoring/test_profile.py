import io
from datetime import timedelta

import pyarrow.parquet as pq

from include.monitoring.profile import profile_predictions
from include.predictions import PREDICTIONS
from include.project import Project
from include.storage import Store, digest_bytes
from tests.include.monitoring.conftest import END, RELEASE, START

OLDER = digest_bytes(b"older")


def test_an_empty_window_has_no_release_and_no_table(store: Store, project: Project):
    profile = profile_predictions(project, START, END, store)
    assert (profile.release, profile.predictions, profile.address) == (None, 0, None)
    assert store.list("") == []


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
    assert len(store.list(f"{project.name}/profiles")) == 1
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
