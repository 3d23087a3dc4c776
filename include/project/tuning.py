"""How settings of `training` are searched: section `tuning` of a project file."""

import math
from typing import Literal

from pydantic import Field, field_validator, model_validator

from include.contracts import Contract
from include.project.learning import TrainingConfig, change_settings, read_setting

# Of the fast profile: enough to see every part of a search work.
FAST_TRIALS, FAST_EPOCHS, FAST_FOLDS = 3, 8, 2


class SearchRange(Contract):
    """Values of one setting to try: a list of choices, or an interval."""

    choices: tuple[int | float | str | bool, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = Field(default=False, description="Search the interval by orders of magnitude.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "SearchRange":
        interval = self.low is not None and self.high is not None
        if bool(self.choices) == interval:
            raise ValueError("name either `choices`, or `low` and `high`")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("`log` needs an interval above 0")
        return self


class TuningConfig(Contract):
    """How settings of `training` are searched before a candidate is trained."""

    profile: Literal["full", "fast"] = Field(
        default="full",
        description=f"`fast`: at most {FAST_TRIALS} trials of {FAST_EPOCHS} epochs and {FAST_FOLDS} folds: quick.",
    )
    method: Literal["off", "grid", "random", "tpe"] = "off"
    search: dict[str, SearchRange] = Field(default={}, description="Setting of `training` (dotted inside): its values.")
    trials: int = Field(default=20, ge=1, le=1000, description="Most trials; a grid tries each combination once.")
    minutes: int = Field(default=60, ge=1, description="No trial begins after this long.")
    parallel: int = Field(default=2, ge=1, le=64, description="Mapped tasks that run trials.")
    prune: bool = Field(default=True, description="End trials that fall behind the median of those before.")
    folds: int = Field(default=0, ge=0, le=20, description="Cross-validate the chosen settings in this many folds.")

    @field_validator("method", mode="before")
    @classmethod
    def _is_off(cls, method: object) -> object:
        """YAML reads a bare `off` as false."""
        return "off" if method is False else method

    @property
    def budget(self) -> int:
        """How many settings are tried, at most."""
        asked = {"off": 0, "grid": self.combinations}.get(self.method, self.trials)
        return min(asked, FAST_TRIALS) if self.profile == "fast" else asked

    def shorten(self, training: TrainingConfig) -> TrainingConfig:
        """Return the settings of a trial with as many epochs as one may have."""
        most = FAST_EPOCHS if self.profile == "fast" else training.epochs
        return training.model_copy(update={"epochs": min(training.epochs, most)})

    @property
    def measured_folds(self) -> int:
        """In how many folds the chosen settings are cross-validated."""
        return min(self.folds, FAST_FOLDS) if self.profile == "fast" else self.folds

    @property
    def combinations(self) -> int:
        """How many combinations a grid of the choices has."""
        return math.prod(len(values.choices) for values in self.search.values())

    @model_validator(mode="after")
    def _can_be_searched(self) -> "TuningConfig":
        if self.folds == 1:
            raise ValueError("one fold has nothing to train on; give 0 or at least 2")
        for name, values in self.search.items():
            _check_range(name, values)
        if self.method == "off":
            return self
        if not self.search:
            raise ValueError(f"{self.method} needs settings to try in `search`")
        if self.method == "grid" and not self.combinations:
            raise ValueError("a grid needs `choices` for every setting, not an interval")
        if self.method == "grid" and self.combinations > self.trials:
            raise ValueError(f"the grid has {self.combinations} combinations, but `trials` allows {self.trials}")
        return self


def _check_range(name: str, values: SearchRange) -> None:
    default = read_setting(TrainingConfig(), name)
    whole = isinstance(default, int) and not isinstance(default, bool)
    if len(set(values.choices)) < len(values.choices):
        raise ValueError(f"{name}: a choice is given twice")
    if values.low is not None and not (whole or isinstance(default, float)):
        raise ValueError(f"{name} is no number; name its `choices`")
    if values.low is not None and whole and not (values.low.is_integer() and float(values.high or 0).is_integer()):
        raise ValueError(f"{name} takes whole numbers only")
    for value in values.choices or (values.low, values.high):
        change_settings(TrainingConfig(), {name: int(value) if whole and isinstance(value, float) else value})
