"""How soon damage, other shares of classes and a new class are found, by three judges looking at the same streams.

    .venv/bin/python -m benchmarks.drift_power [streams]

A stream is one healthy window of 200 answers and two drifted ones; it is found if a judge alarms in one of the two, and
one that alarms in the healthy window before is a false alarm. Damage is that of severity 3 in CIFAR-10-C (Hendrycks and
Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019) where there is
one of its kind, on photographs of as many pixels.
"""

import io
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.digit_network import photograph_digits, teach
from benchmarks.drift_streams import CERTIFIED, JUDGES, draw, make_judges, tabulate

Pixels = NDArray[np.uint8]

WINDOW = 200
STREAMS = 100
FOUND = 0.95
CLASS_SHARE = 0.5
FEW_SHARE = 0.8
NEW_SHARE = 0.25
NEW_CLASS = 9
WHITE = 255
CHANCE = np.random.default_rng(3)


def _round(pixels: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(pixels), 0, WHITE).astype(np.uint8)


def _snow(image: Pixels) -> Pixels:
    flakes = (CHANCE.random(image.shape[:2]) > 0.95) * float(WHITE)
    return _round(np.maximum(0.85 * image, cv2.GaussianBlur(flakes, (0, 0), 0.6)[..., None] * 1.5))


def _fog(image: Pixels) -> Pixels:
    haze = cv2.resize(CHANCE.random((4, 4)), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None] * WHITE
    return _round((image + 0.75 * haze) / 1.75)


def _pixelate(image: Pixels) -> Pixels:
    small = cv2.resize(image, (27, 27), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _compress(image: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=58)
    return np.asarray(Image.open(file))


def _warp(image: Pixels) -> Pixels:
    side = image.shape[0]
    corners = np.array([[0, 0], [side, 0], [0, side]], np.float32)
    moved = corners + CHANCE.uniform(-0.1 * side, 0.1 * side, (3, 2)).astype(np.float32)
    return cv2.warpAffine(image, cv2.getAffineTransform(corners, moved), (side, side))


DAMAGE: Mapping[str, Callable[[Pixels], Pixels]] = MappingProxyType(
    {
        "noise: Gaussian": lambda image: _round(image + CHANCE.normal(0, 0.08 * WHITE, image.shape)),
        "noise: shot": lambda image: _round(CHANCE.poisson(image / WHITE * 100) / 100 * WHITE),
        "noise: dead pixels": lambda image: _round(
            np.where(CHANCE.random(image.shape[:2])[..., None] < 0.05, WHITE, image)
        ),
        "blur: Gaussian": lambda image: cv2.GaussianBlur(image, (0, 0), 0.7),
        "blur: motion": lambda image: cv2.filter2D(image, -1, np.full((1, 3), 1 / 3)),
        "weather: fog": _fog,
        "weather: snow": _snow,
        "weather: brightness": lambda image: _round(image + 0.15 * WHITE),
        "digital: contrast": lambda image: _round(image.mean() + 0.4 * (image - image.mean())),
        "digital: pixelate": _pixelate,
        "digital: JPEG": _compress,
        "geometric: turned by 20°": lambda image: np.asarray(
            Image.fromarray(image).rotate(20, Image.Resampling.BICUBIC)
        ),
        "geometric: shifted by 10 %": lambda image: np.roll(image, 3, axis=1),
        "geometric: warped": _warp,
    }
)


class Stream(NamedTuple):
    """What windows are drawn from.

    :ivar usual: Weight of each row in healthy windows and in the reference [N].
    :ivar unusual: Weight of each row in drifted windows [N].
    """

    healthy: pa.Table
    drifted: pa.Table
    usual: NDArray[np.float64]
    unusual: NDArray[np.float64]


def make_streams() -> dict[str, Stream]:
    """Answer the same thousand digits healthy and damaged, and with a network that never saw one of the classes."""
    train, certified, later = photograph_digits(0)
    images, labels = [*certified.images, *later.images], np.concatenate([certified.labels, later.labels])
    graph = teach(train, certified)
    healthy, alike = tabulate(graph, images), np.ones(len(images))
    streams = {
        name: Stream(healthy, tabulate(graph, [change(image) for image in images]), alike, alike)
        for name, change in DAMAGE.items()
    }
    one = labels == 3
    streams[f"a class is {CLASS_SHARE:.0%} of the traffic"] = Stream(healthy, healthy, alike, _weigh(one, CLASS_SHARE))
    few = labels < 3
    streams[f"three classes are {FEW_SHARE:.0%}"] = Stream(healthy, healthy, alike, _weigh(few, FEW_SHARE))
    known = [split.take(np.flatnonzero(split.labels != NEW_CLASS)) for split in (train, certified)]
    narrow, new = tabulate(teach(*known), images), labels == NEW_CLASS
    streams[f"a new class is {NEW_SHARE:.0%}"] = Stream(narrow, narrow, (~new).astype(float), _weigh(new, NEW_SHARE))
    return streams


def _weigh(chosen: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    return np.where(chosen, share / chosen.sum(), (1 - share) / (~chosen).sum())


def watch(stream: Stream, streams: int) -> Counter[tuple[str, str]]:
    """Count what each judge says: a false alarm before, found in the first drifted window, or in one of the two."""
    counts: Counter[tuple[str, str]] = Counter()
    with threadpool_limits(1):
        for seed in range(streams):
            chance = np.random.default_rng([seed, len(stream.usual)])
            certified = chance.choice(np.flatnonzero(stream.usual), CERTIFIED, replace=False)
            later = np.ones(len(stream.usual))
            later[certified] = 0
            plan = ((stream.healthy, stream.usual), *[(stream.drifted, stream.unusual)] * 2)
            windows = [draw(table, WINDOW, chance, weights * later) for table, weights in plan]
            for name, judge in make_judges(stream.healthy.take(pa.array(certified))).items():
                before, first, second = (judge(window) for window in windows)
                counts.update({(name, "before"): before, (name, "first"): first, (name, "found"): first or second})
    return counts


def main(streams: int = STREAMS) -> bool:
    """Print one line for each cause, and tell whether Windhover finds every one."""
    table = Table(
        title=f"{streams} streams a line, windows of {WINDOW}: found in the first drifted window / in one of two "
        f"(false alarms in the healthy window before); goal: Windhover finds >= {FOUND:.0%} in two",
        title_justify="left",
    )
    for heading in ("cause", *JUDGES):
        table.add_column(heading, justify="left" if heading == "cause" else "right")
    sound = True
    for cause, stream in make_streams().items():
        counts = watch(stream, streams)
        shares = {key: count / streams for key, count in counts.items()}
        cells = [
            f"{shares[name, 'first']:.0%} / {shares[name, 'found']:.0%} ({shares[name, 'before']:.0%})"
            for name in JUDGES
        ]
        table.add_row(cause, *cells)
        sound &= shares[JUDGES[0], "found"] >= FOUND
    Console().print(table)
    return bool(sound)


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
