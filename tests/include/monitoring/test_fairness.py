from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from include.monitoring.fairness import find_unfair, measure_slices
from include.project import EvaluationConfig, Project, SliceConfig

START = datetime(2026, 3, 1, tzinfo=UTC)
SLICES = (SliceConfig(name="digit", by="class", min_images=5), SliceConfig(name="light", by="brightness", min_images=5))


@pytest.fixture
def sliced(project: Project) -> Project:
    return project.model_copy(update={"evaluation": EvaluationConfig(slices=SLICES)})


def answer(answers: int, seed: int, wrong: float = 0.05, dark: float = 0.05, seven: float = 0.05) -> pa.Table:
    """Answers of which shares are wrong: of dark images, of sevens, and of all others."""
    chance = np.random.default_rng(seed)
    labels, brightness = chance.integers(10, size=answers), chance.uniform(0.1, 0.9, answers)
    rates = np.where(brightness < 0.36, dark, wrong)
    rates = np.where(labels == 7, np.maximum(rates, seven), rates)
    said = np.where(chance.random(answers) < rates, (labels + 1) % 10, labels)
    return pa.table(
        {
            "predicted": [str(one) for one in said],
            "label": [str(one) for one in labels],
            "brightness": brightness,
            "width": np.full(answers, 32.0),
            "height": np.full(answers, 32.0),
            "came": pa.array([START + timedelta(minutes=index) for index in range(answers)], pa.timestamp("us", "UTC")),
        }
    )


def test_a_healthy_release_is_fair(sliced):
    for seed in range(10):
        assert find_unfair(sliced, answer(600, 50 + seed), answer(1500, seed)) == ()


def test_a_decline_of_all_alike_is_not_unfair(sliced):
    worse = answer(1500, 1, wrong=0.4, dark=0.4, seven=0.4)
    assert find_unfair(sliced, answer(600, 2), worse) == ()


@pytest.mark.parametrize(("change", "named"), [({"seven": 0.7}, "digit 7: "), ({"dark": 0.5}, "light up to 0.3")])
def test_a_slice_that_falls_behind_is_named(sliced, change, named):
    (found,) = find_unfair(sliced, answer(600, 3), answer(1500, 4, **change))
    assert found.startswith(named)
    assert "when certified" in found


def test_a_slice_that_was_behind_when_certified_is_no_news(sliced):
    known, same = answer(3000, 5, dark=0.5), answer(1500, 6, dark=0.5)
    assert find_unfair(sliced, known, same) == ()


def test_slices_are_measured_worst_first_with_their_interval(sliced):
    found = measure_slices(sliced, answer(600, 7), answer(400, 8, seven=0.9))
    assert (found[0].slice, found[0].value) == ("digit", "7")
    assert found[0].low < found[0].accuracy < found[0].high
    assert sum(one.labelled for one in found if one.slice == "light") == 400
    assert len([one for one in found if one.slice == "light"]) == 3


def test_images_of_one_size_are_one_slice(project):
    by_size = EvaluationConfig(slices=(SliceConfig(name="size", by="size", min_images=1),))
    found = measure_slices(project.model_copy(update={"evaluation": by_size}), answer(50, 1), answer(20, 2))
    assert [one.value for one in found] == ["up to 32"]


def test_what_is_not_known_in_service_is_left_out(project):
    by_source = EvaluationConfig(slices=(SliceConfig(name="camera", by="source"),))
    unknown = project.model_copy(update={"evaluation": by_source})
    assert measure_slices(unknown, answer(50, 1), answer(20, 2)) == ()
    assert find_unfair(unknown, answer(50, 1), answer(20, 2)) == ()


def test_without_labels_nothing_is_said(sliced):
    nothing = answer(50, 1)[:0]
    assert (measure_slices(sliced, answer(50, 1), nothing), find_unfair(sliced, answer(50, 1), nothing)) == ((), ())
