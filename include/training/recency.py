"""Which days a training learns from: all, the newest, or the newest with a sample of the others."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from include.errors import ContractViolationError
from include.project import TrainingConfig

SNAPSHOT = "snapshot"


def choose_days(partitions: Sequence[str], training: TrainingConfig) -> list[int] | None:
    """Return the positions of the images to learn from, ascending; None: all.

    A replay mix keeps what was known before from being forgotten: Rolnick et al., "Experience Replay for Continual
    Learning" (2019).

    :param partitions: Day of each image.
    :raises ContractViolationError: the images have no days.
    """
    if training.mode not in {"sliding_window", "replay"} or not partitions:
        return None
    if SNAPSHOT in partitions:
        raise ContractViolationError(
            f"training.mode {training.mode} chooses by day, but the source is a snapshot without days; use `full`"
        )
    oldest = date.fromisoformat(max(partitions)) - timedelta(days=training.recent_days - 1)
    recent = np.array([day >= oldest.isoformat() for day in partitions])
    new, old = np.flatnonzero(recent), np.flatnonzero(~recent)
    if training.mode == "replay":
        wanted = round(len(new) * training.replay_share / (1 - training.replay_share))
        sample = np.random.default_rng(training.seed).permutation(old)[:wanted]
        new = np.sort(np.concatenate([new, sample]))
    return [int(position) for position in new]
