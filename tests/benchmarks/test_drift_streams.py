import numpy as np
import pyarrow as pa
import pytest
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import DriftedColumnsCount

from benchmarks.drift_nulls import SMALL, count_alarms, shift
from benchmarks.drift_power import DAMAGE, Stream, watch
from benchmarks.drift_streams import CERTIFIED, JUDGES, Betting, KolmogorovSmirnov, Preset, deal, draw
from include.monitoring.layers import NUMBERS

PHOTOGRAPH = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    """Answers of a thousand images whose ten classes are as frequent."""
    chance = np.random.default_rng(6)
    probabilities = chance.dirichlet(np.ones(10), 1_000)
    return pa.table(
        {name: chance.normal(size=1_000) for name in NUMBERS}
        | {"predicted": [str(number) for number in probabilities.argmax(axis=1)]}
        | {"probabilities": probabilities.tolist()}
        | {"embedding": pa.array(chance.normal(size=(1_000, 4)).tolist(), pa.list_(pa.float32()))}
    )


def test_no_image_is_certified_and_seen_later(pool: pa.Table):
    certified, later = deal(pool, np.random.default_rng(1))
    assert certified.num_rows == CERTIFIED
    assert set(certified["noise"].to_pylist()).isdisjoint(later["noise"].to_pylist())
    assert certified.num_rows + later.num_rows == pool.num_rows


def test_healthy_streams_raise_no_alarm_and_every_judge_is_asked(pool: pa.Table):
    counts = count_alarms(pool, 100, range(2), 0.0)
    assert counts["Windhover"] == 0
    assert set(counts) == set(JUDGES)


def test_a_small_shift_is_small_and_of_images_alone(pool: pa.Table):
    moved = shift(pool, SMALL)
    assert np.mean(moved["noise"]) - np.mean(pool["noise"]) == pytest.approx(SMALL, rel=0.1)
    assert moved["confidence"] == pool["confidence"]


def test_a_judge_begins_anew_after_an_alarm(pool: pa.Table):
    judge = Betting(pool)
    assert [judge(pool), judge(shift(pool, 3)), judge.evidence] == [False, True, {}]


def test_the_preset_says_what_evidently_says(pool: pa.Table):
    certified, later = deal(pool, np.random.default_rng(1))
    for deviations in (0.0, 0.5):
        window = draw(shift(later, deviations), 400, np.random.default_rng(2))
        names = [*NUMBERS, "predicted"]
        definition = DataDefinition(numerical_columns=list(NUMBERS), categorical_columns=["predicted"])
        sides = [Dataset.from_pandas(side.select(names).to_pandas(), definition) for side in (window, certified)]
        share = Report([DriftedColumnsCount()]).run(*sides).dict()["metrics"][0]["value"]["share"]
        assert Preset(certified)(window) == (share >= 0.5) == bool(deviations)


def test_kolmogorov_smirnov_looks_at_outputs(pool: pa.Table):
    moved = pool.set_column(
        pool.column_names.index("probabilities"), "probabilities", pa.array(np.eye(10)[np.zeros(1_000, int)].tolist())
    )
    assert [KolmogorovSmirnov(pool)(table) for table in (pool, shift(pool, 3), moved)] == [False, False, True]


def test_found_is_told_from_alarmed_before(pool: pa.Table):
    alike = np.ones(pool.num_rows)
    counts = watch(Stream(pool, shift(pool, 2), alike, alike), 2)
    assert [counts["Windhover", said] for said in ("before", "first", "found")] == [0, 2, 2]
    assert counts["KS, Bonferroni", "first"] <= 1


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_keeps_the_shape(kind: str):
    damaged = DAMAGE[kind](PHOTOGRAPH)
    assert (damaged.shape, damaged.dtype) == (PHOTOGRAPH.shape, np.uint8)
    assert (damaged != PHOTOGRAPH).mean() > 0.03
