"""Which planted shortcuts the cheat detector names, and whether it leaves clean data alone.

    .venv/bin/python -m benchmarks.planted_shortcuts

Each seed draws other handwritten digits, or other coloured shapes. A shortcut is planted so that it tells every class,
in all images or in some while the others show that of any class; and in one class only. The table shows the limit: the
look of an image may be what it shows, so a cue of it that is planted in half of the images is rarely named. No peer
stands beside it: there is nothing to compare.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from benchmarks.drawn_shapes import draw_shapes
from include.training.giveaways import describe
from include.training.shortcuts import judge_cues

IMAGES = 600
CLEAN_SEEDS = 50
PLANTED_SEEDS = 5
CLASSES = tuple("0123456789")
MARKED = 3
MOMENT = datetime(2026, 3, 1, 8, tzinfo=UTC)
PARTS = (0.8, 0.5, 0.3)
Row = dict[str, Any]
Planted = tuple[list[Row], list[str]]
Pixels = NDArray[np.uint8]


def draw_digits(images: int, seed: int) -> tuple[list[Pixels], list[int]]:
    """Draw handwritten digits, uint8 RGB [32, 32, 3], with their labels."""
    digits = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(digits.target))[:images]
    grey = [(digits.images[index] * (255 / 16)).astype(np.uint8) for index in chosen]
    pixels = [cv2.resize(one, (32, 32), interpolation=cv2.INTER_CUBIC) for one in grey]
    return [np.repeat(one[..., np.newaxis], 3, axis=2) for one in pixels], digits.target[chosen].tolist()


SETS: dict[str, Callable[[int, int], tuple[list[Pixels], list[int]]]] = {"digits": draw_digits, "shapes": draw_shapes}


def make_row(pixels: Pixels, chance: np.random.Generator, **changes: Any) -> Row:
    """Describe an image as the image store does, photographed some time of the day."""
    return {
        "image": cv2.imencode(".png", pixels)[1].tobytes(),
        "source": f"2026-03-01/images/shot-{chance.integers(10**6):06d}.png",
        "observed_at": MOMENT + timedelta(seconds=int(chance.integers(36_000))),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        **changes,
    }


def plant_border(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Frame the image in a grey of its class."""
    framed = np.full_like(pixels, 25 * label)
    framed[1:-1, 1:-1] = pixels[1:-1, 1:-1]
    return make_row(framed, chance)


def plant_corner(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Stamp the number of its class, in binary, into the upper left corner."""
    stamped = pixels.copy()
    for bit in range(4):
        stamped[bit, :4] = 255 * (label >> bit & 1)
    return make_row(stamped, chance)


def plant_colour(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Cast the colour of its class over the image."""
    tint = cv2.cvtColor(np.array([[[18 * label, 120, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0] / 255
    return make_row((np.maximum(pixels, 60) * tint).astype(np.uint8), chance)


def plant_file_size(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Store the image with padding that no decoder reads."""
    row = make_row(pixels, chance)
    return row | {"image": row["image"] + bytes(400 * label)}


def plant_dimensions(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Give the image a size of its class."""
    side = 32 + label
    return make_row(cv2.resize(pixels, (side, side)), chance)


def plant_jpeg_tables(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Save the image as a JPEG of a quality of its class."""
    coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 75 + 2 * label])[1].tobytes()
    return make_row(pixels, chance, image=coded)


def plant_source(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Let a camera of its own photograph each class."""
    return make_row(pixels, chance, source=f"camera-{'abcdefghij'[label]}/shot-{chance.integers(10**6)}.png")


def plant_capture_time(pixels: Pixels, label: int, chance: np.random.Generator) -> Row:
    """Photograph each class in an hour of its own."""
    return make_row(pixels, chance, observed_at=MOMENT + timedelta(hours=label, seconds=int(chance.integers(3600))))


PLANTED: dict[str, Callable[[Pixels, int, np.random.Generator], Row]] = {
    "border": plant_border,
    "corners": plant_corner,
    "colour": plant_colour,
    "file_size": plant_file_size,
    "dimensions": plant_dimensions,
    "jpeg_tables": plant_jpeg_tables,
    "source": plant_source,
    "capture_time": plant_capture_time,
}


def plant(
    kind: str, seed: int, images: int = IMAGES, share: float = 1.0, only: int | None = None, drawn: str = "digits"
) -> Planted:
    """Draw images of one of `SETS` with one kind of shortcut, or none (`clean`).

    :param share: Of images that get the shortcut of their class; the others get that of any class.
    :param only: The one class that is marked; the others all look like class 0.
    """
    chance = np.random.default_rng(seed)
    pixels, labels = SETS[drawn](images, seed)
    rows = []
    for one, label in zip(pixels, labels, strict=True):
        shown = label if chance.random() < share else int(chance.integers(len(CLASSES)))
        shown = shown if only in {None, shown} else 0
        rows.append(PLANTED[kind](one, shown, chance) if kind in PLANTED else make_row(one, chance))
    return rows, [str(label) for label in labels]


def name_suspects(planted: Planted) -> list[str]:
    """Name what the detector warns of."""
    rows, labels = planted
    return [one.cue for one in judge_cues([describe(row, CLASSES) for row in rows], labels) if one.suspicious]


def tabulate(drawn: str, seeds: int, images: int) -> tuple[Table, bool]:
    """Say of each kind how often it is named, and whether it always is where it is in all images or marks one class."""
    table = Table(title=f"{images} {drawn}: how often a planted shortcut is named, of {seeds} times")
    for column in ("shortcut", "all images", *(f"{share:.0%}" for share in PARTS), "one class", "others named with it"):
        table.add_column(column, justify="left" if column == "shortcut" else "right")
    complete = True
    for kind in PLANTED:
        cases = [{"share": share} for share in (1.0, *PARTS)] + [{"only": MARKED}]
        named = [
            [name_suspects(plant(kind, seed, images, **case, drawn=drawn)) for seed in range(seeds)] for case in cases
        ]
        found = [sum(kind in names for names in some) for some in named]
        others = sorted({name for names in named[0] for name in names} - {kind})
        table.add_row(kind, *map(str, found), ", ".join(others) or "-")
        complete &= found[0] == found[-1] == seeds
    return table, complete


def main(clean_seeds: int = CLEAN_SEEDS, planted_seeds: int = PLANTED_SEEDS, images: int = IMAGES) -> bool:
    """Print what was named and what was not; True if no clean set was, and all that marks every digit or one alone."""
    console, sound = Console(), True
    for drawn in SETS:
        table, complete = tabulate(drawn, planted_seeds, images)
        console.print(table)
        alarms = sum(bool(name_suspects(plant("clean", seed, images, drawn=drawn))) for seed in range(clean_seeds))
        console.print(f"clean {drawn}: {alarms} false alarms in {clean_seeds} draws (goal: 0)")
        sound &= alarms == 0 and (complete or drawn != "digits")
    return sound


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
