import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from include.project import TuningConfig
from include.training.search_space import count_startup, list_combinations, make_space

SEARCH = {
    "epochs": {"low": 1, "high": 9},
    "weight_decay": {"low": 1e-5, "high": 0.1, "log": True},
    "schedule": {"choices": ["cosine", "constant"]},
}


def test_an_interval_is_searched_as_what_the_setting_is(project):
    tuning = TuningConfig.model_validate({"method": "random", "search": SEARCH})
    epochs, decay, schedule = make_space(project.model_copy(update={"tuning": tuning})).values()
    assert isinstance(epochs, IntDistribution)
    assert (epochs.low, epochs.high) == (1, 9)
    assert isinstance(decay, FloatDistribution)
    assert decay.log
    assert isinstance(schedule, CategoricalDistribution)
    assert schedule.choices == ("cosine", "constant")


def test_a_grid_is_the_cartesian_product():
    search = {"epochs": {"choices": [1, 2]}, "schedule": {"choices": ["cosine", "constant"]}}
    tuning = TuningConfig.model_validate({"method": "grid", "search": search})
    assert list_combinations(tuning) == [
        {"epochs": 1, "schedule": "cosine"},
        {"epochs": 1, "schedule": "constant"},
        {"epochs": 2, "schedule": "cosine"},
        {"epochs": 2, "schedule": "constant"},
    ]
    assert tuning.combinations == 4


@pytest.mark.parametrize(("trials", "startup"), [(1, 3), (20, 5), (1000, 10)])
def test_tpe_begins_at_random(trials, startup):
    assert count_startup(trials) == startup
