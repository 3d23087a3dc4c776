"""Does TPE find a planted optimum sooner than chance? Both through the sampler and the space that a tuning uses.

The score of settings falls with their distance from a planted point, on the scale that the space is searched on;
categories count. Training is left out: what is compared is the choice of settings.

    python -m benchmarks.tuning_search [--seeds 20] [--trials 40]
"""

import argparse
import math
import statistics
from typing import Any

import optuna

from include.project import Project, TuningConfig
from include.training.search_space import make_sampler, make_space

SEARCH = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "label_smoothing": {"low": 0.0, "high": 0.4},
    "dropout": {"low": 0.0, "high": 0.8},
    "schedule": {"choices": ["cosine", "one_cycle", "constant"]},
}
PLANTED = {"learning_rate": 3e-3, "weight_decay": 1e-4, "label_smoothing": 0.1, "dropout": 0.2, "schedule": "one_cycle"}


def score(settings: dict[str, Any]) -> float:
    """Return 1 at the planted settings, less the further away."""
    distance = 0.0 if settings["schedule"] == PLANTED["schedule"] else 0.3
    for name in ("learning_rate", "weight_decay"):
        distance += (math.log10(settings[name] / PLANTED[name]) / 4) ** 2
    for name in ("label_smoothing", "dropout"):
        distance += (settings[name] - PLANTED[name]) ** 2
    return 1 - distance


def search(method: str, trials: int, seed: int) -> float:
    """Return the best score that a method finds with its budget."""
    tuning = TuningConfig.model_validate({"method": method, "search": SEARCH, "trials": trials})
    project = Project(name="planted", classes=("a", "b"), tuning=tuning)
    study = optuna.create_study(direction="maximize")
    for slot in range(trials):
        # As a study does it: seeded trial by trial.
        study.sampler = make_sampler(tuning, seed * trials + slot)
        trial = study.ask(make_space(project))
        study.tell(trial, score(trial.params))
    return study.best_value


def measure(seeds: int, trials: int) -> dict[str, list[float]]:
    """Return the best scores of each method, one for every seed."""
    return {method: [search(method, trials, seed) for seed in range(seeds)] for method in ("random", "tpe")}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = measure(options.seeds, options.trials)
    print(f"{options.trials} trials, {options.seeds} seeds; 1 is the planted optimum")
    print("| method | median best | worst | best |\n|---|---|---|---|")
    for method, scores in found.items():
        print(f"| {method} | {statistics.median(scores):.4f} | {min(scores):.4f} | {max(scores):.4f} |")
    wins = sum(tpe > chance for tpe, chance in zip(found["tpe"], found["random"], strict=True))
    print(f"TPE beats random on {wins} of {options.seeds} seeds")


if __name__ == "__main__":
    main()
