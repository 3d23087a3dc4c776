"""Divide groups of images into splits that never change."""

import hashlib
from typing import Literal

from include.project import DataConfig

Split = Literal["train", "validation", "test"]


def assign_split(group: str, data: DataConfig, project: str) -> Split:
    """Choose the split of a group by its name alone, so that no amount of new data moves it.

    All images of one specimen share a group, hence a split: none is learned from and examined on. The shares hold in
    expectation over groups. Method: hash-based bucketing, as in Kohavi et al., "Trustworthy Online Controlled
    Experiments" (2020), ch. 14.
    """
    hashed = hashlib.sha256(f"{project}/{group}".encode()).digest()
    position = int.from_bytes(hashed[:8]) / 2**64
    if position < data.test_share:
        return "test"
    if position < data.test_share + data.validation_share:
        return "validation"
    return "train"
