import pytest
import yaml
from pydantic import ValidationError

from include.project import TrainingConfig, TuningConfig

RATES = {"learning_rate": {"choices": [0.01, 0.1]}}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"method": "grid", "search": {"learning_rate": {"low": 0.1, "high": 0.2}}}, "a grid needs `choices`"),
        ({"method": "grid", "search": RATES, "trials": 1}, "has 2 combinations, but `trials` allows 1"),
        ({"method": "tpe"}, "needs settings to try"),
        ({"search": {"lr": {"choices": [1]}}}, "no setting 'lr'"),
        ({"search": {"learning_rate": {"choices": [0.1, 5.0]}}}, "learning_rate: Input should be less than"),
        ({"search": {"learning_rate": {"choices": [0.1, 0.1]}}}, "given twice"),
        ({"search": {"epochs": {"low": 1.5, "high": 3}}}, "whole numbers only"),
        ({"search": {"epochs": {"low": 0, "high": 3}}}, "epochs: Input should be greater"),
        ({"search": {"schedule": {"low": 1, "high": 3}}}, "schedule is no number"),
        ({"search": {"augmentation.flip_vertical": {"low": 0, "high": 1}}}, "is no number"),
        ({"folds": 1}, "at least 2"),
    ],
)
def test_a_search_that_cannot_work_is_refused_when_the_file_is_read(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        TuningConfig.model_validate(settings)


def test_a_bare_off_in_yaml_is_off():
    assert TuningConfig.model_validate(yaml.safe_load("method: off")).method == "off"


@pytest.mark.parametrize(
    ("settings", "full", "fast"),
    [
        ({"method": "tpe", "search": RATES, "trials": 20, "folds": 5}, (20, 5), (3, 2)),
        ({"method": "grid", "search": RATES, "trials": 20}, (2, 0), (2, 0)),
        ({"trials": 20, "folds": 2}, (0, 2), (0, 2)),
    ],
)
def test_the_fast_profile_caps_what_is_asked_and_adds_nothing(settings, full, fast):
    asked = TuningConfig.model_validate(settings)
    capped = TuningConfig.model_validate(settings | {"profile": "fast"})
    assert (asked.budget, asked.measured_folds) == full
    assert (capped.budget, capped.measured_folds) == fast
    training = TrainingConfig(epochs=50)
    assert (asked.shorten(training).epochs, capped.shorten(training).epochs) == (50, 8)
    assert capped.shorten(TrainingConfig(epochs=5)).epochs == 5
