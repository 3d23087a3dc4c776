"""Traffic of photographed digits as a camera, a network or the world may change it."""

import numpy as np

from benchmarks.digit_network import Split, take_pictures
from benchmarks.drawn_shapes import draw_shapes
from examples.camera.lens import WORN_LENSES
from include.evaluation.corruption import CORRUPTIONS, corrupt

CORRUPTED = tuple(f"{kind} {severity}" for kind in CORRUPTIONS for severity in (1, 2, 3))
WORN = tuple(f"worn lens {number}" for number in range(1, 4))
HEALTHY = "the same"
PRIORS = "other classes are frequent"
SHAPES = "drawn shapes"
NOISE = "nothing but noise"


def shift(kind: str, split: Split, seed: int) -> Split:
    """Change the images of a split, or choose among them; what strange images show has no class."""
    chance = np.random.default_rng(seed)
    if kind in CORRUPTED:
        name, severity = kind.split()
        return split.show([corrupt(image, name, int(severity)) for image in split.images])
    if kind in WORN:
        return split.show(take_pictures(split.specimens, WORN_LENSES[int(kind[-1]) - 1], seed + 1000))
    if kind == PRIORS:
        weights = chance.dirichlet(np.full(10, 0.5))[split.labels]
        return split.take(chance.choice(len(split.labels), len(split.labels), p=weights / weights.sum()))
    if kind == SHAPES:
        return split.show(draw_shapes(len(split.labels), seed)[0])
    if kind == NOISE:
        return split.show(list(chance.integers(0, 256, (len(split.labels), 32, 32, 3), dtype=np.uint8)))
    return split
