"""Which values a search may try, and what chooses among them."""

import itertools
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from include.project import Project, TuningConfig
from include.project.learning import read_setting


def list_combinations(tuning: TuningConfig) -> list[dict[str, Any]]:
    """List the Cartesian product of all choices, the last setting changing fastest."""
    values = itertools.product(*(values.choices for values in tuning.search.values()))
    return [dict(zip(tuning.search, combination, strict=True)) for combination in values]


def make_space(project: Project) -> dict[str, BaseDistribution]:
    """Describe the searched settings as Optuna does."""
    space: dict[str, BaseDistribution] = {}
    for name, values in project.tuning.search.items():
        if values.low is None or values.high is None:
            space[name] = CategoricalDistribution(values.choices)
        elif isinstance(read_setting(project.training, name), int):
            space[name] = IntDistribution(int(values.low), int(values.high), log=values.log)
        else:
            space[name] = FloatDistribution(values.low, values.high, log=values.log)
    return space


def make_sampler(tuning: TuningConfig, seed: int) -> optuna.samplers.BaseSampler:
    """Make what chooses the values of one trial; those of a grid are given."""
    if tuning.method != "tpe":
        return optuna.samplers.RandomSampler(seed=seed)
    # Trials that others are running count as bad ones: else parallel tasks would try the same values.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=count_startup(tuning.budget), constant_liar=True)


def count_startup(trials: int) -> int:
    """Return how many trials TPE takes at random before it has something to go by: a quarter, 3 to 10."""
    return max(3, min(10, trials // 4))


def make_pruner(project: Project) -> optuna.pruners.BasePruner:
    """Make what ends trials early; none is judged in the first quarter of its epochs."""
    if not project.tuning.prune:
        return optuna.pruners.NopPruner()
    epochs = project.tuning.shorten(project.training).epochs
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
