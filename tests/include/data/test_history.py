from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from benchmarks.validation_rows import make_manifest
from include.contracts import ValidationReport
from include.data.history import PARAMETERS, name_parameters
from include.data.outliers import measure_rows
from include.storage import digest_bytes

DAY = "2026-11-02"
NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)
CLASSES = tuple("0123456789")
MEASURES = measure_rows(make_manifest(200))


def past(day, accepted=200, measures=MEASURES):
    return ValidationReport(
        project="digits", partition=f"2026-10-{day:02d}", address="a", digest=digest_bytes(b""), seen=accepted,
        accepted=accepted, duplicates=0, quarantined=0, **asdict(measures), success=True, data_docs="",
    )  # fmt: skip


def name(history=(), measures=MEASURES, partition=DAY):
    return name_parameters(partition, measures, history, CLASSES, NOW)


def test_every_parameter_a_suite_may_ask_for_has_a_value():
    assert set(name([past(1), past(2), past(3)])) == PARAMETERS


def test_a_day_has_both_ends_and_a_snapshot_that_of_today():
    assert (name()["partition_start"], name()["partition_end"]) == (
        datetime(2026, 11, 2, tzinfo=UTC),
        datetime(2026, 11, 3, tzinfo=UTC),
    )
    snapshot = name(partition="snapshot")
    assert (snapshot.get("partition_start"), snapshot["partition_end"]) == (None, datetime(2026, 11, 10, tzinfo=UTC))


def test_two_partitions_are_no_history_nor_are_empty_ones():
    for history in ([], [past(1), past(2)], [past(1), past(2), past(3, accepted=0)]):
        assert not [given for given in name(history) if given.endswith("_before")]


def test_only_the_last_fortnight_counts():
    history = [past(day, accepted=10) for day in range(1, 11)] + [past(day, accepted=1000) for day in range(11, 25)]
    assert name(history)["rows_before"] == 1000


def test_one_strange_partition_does_not_move_the_reference():
    strange = measure_rows(make_manifest(200, seed=5))
    strange.statistics["brightness_median"] = 0.95
    history = [*(past(day) for day in range(1, 5)), past(5, measures=strange)]
    assert name(history)["brightness_median_before"] == MEASURES.statistics["brightness_median"]


def test_days_that_wander_widen_the_reference():
    history = [past(day, measures=measure_rows(make_manifest(200))) for day in range(1, 6)]
    for number, report in enumerate(history):
        report.statistics["brightness_median"] = 0.3 + 0.1 * number
    assert name(history)["brightness_spread_before"] == pytest.approx(0.148, abs=0.001)


def test_shares_sum_to_one_and_leave_nothing_impossible():
    shares = name([past(1), past(2), past(3)])
    for given in ("labels_before", "brightness_before"):
        assert sum(shares[given]["weights"]) == pytest.approx(1)
        assert min(shares[given]["weights"]) > 0


def test_labels_yet_to_come_leave_label_parameters_out():
    unlabelled = replace(MEASURES, labels={})
    named = name([past(1), past(2), past(3)], unlabelled)
    assert not {"labels_noise", "labels_noise_before", "labels_before"} & named.keys()
    assert "brightness_noise_before" in named


def test_chance_alone_exceeds_the_noise_about_once_in_a_thousand():
    chance = np.random.default_rng(17)
    counts = chance.multinomial(250, [0.1] * 10, size=20_000) / 250
    divergence = np.where(counts > 0, counts * np.log(np.maximum(counts, 1e-12) / 0.1), 0).sum(axis=1)
    measures = measure_rows(make_manifest(250))
    assert 0.0002 < (divergence > name(measures=measures)["labels_noise"]).mean() < 0.003
