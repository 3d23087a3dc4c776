"""Deliveries of two more projects: a folder of shapes per class, and readings of meters every day."""

import csv
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from examples.camera import ARRIVAL_SPECIMENS, CLEAN_LENS, deliver_day
from include.settings import REPOSITORY

SHAPES, METERS = "shapes", "meters"
CLASSES = ("circle", "square", "triangle")
IMAGES = 40  # of each class
SIDE = 48

DAYS = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05")
BAD_DAY = "2026-03-09"
SHOTS = 30
SUBJECT = "visitor-7d1f0c93"


def write_shapes(folder: Path, numbers: Iterable[int]) -> None:
    """Draw one image of every class for each number."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            _draw(label, number).save(folder / label / f"{label}-{number:03d}.png")


def add_meters(projects: Path) -> None:
    """Make a project of daily deliveries that differs from the digits in its name and title only."""
    digits = (REPOSITORY / "include" / "projects" / "digits.yaml").read_text()
    (projects / f"{METERS}.yaml").write_text(
        digits.replace("name: digits", f"name: {METERS}").replace("written digits", "written meters")
    )


def deliver_readings(landing: Path, day: str, *, corrupt: int = 0, shown: int = 0) -> None:
    """Deliver one day of readings.

    :param corrupt: Extra files that are no whole image.
    :param shown: How many of them show the subject.
    """
    first = date.fromisoformat(day).day * SHOTS
    specimens = ARRIVAL_SPECIMENS[first : first + SHOTS]
    folder = deliver_day(
        landing, date.fromisoformat(day), specimens, lens=CLEAN_LENS, labelled=True, corrupt=corrupt, project=METERS
    )
    with (folder / "manifest.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "subject"])
        writer.writerows([*line, SUBJECT if number < shown else ""] for number, line in enumerate(lines))


def _draw(label: str, number: int) -> Image.Image:
    random = np.random.default_rng([CLASSES.index(label), number])
    image = Image.fromarray(random.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8))
    x, y = (int(value) for value in random.integers(2, SIDE // 2, 2))
    size = int(random.integers(12, SIDE // 2 - 2))
    colour = tuple(int(value) for value in random.integers(140, 256, 3))
    draw, box = ImageDraw.Draw(image), (x, y, x + size, y + size)
    if label == "circle":
        draw.ellipse(box, fill=colour)
    elif label == "square":
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=colour)
    return image
