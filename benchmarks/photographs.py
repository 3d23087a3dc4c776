"""JPEG files that weigh what photographs weigh, and a project that takes them in."""

from pathlib import Path

import numpy as np
from PIL import Image

from include.project import DataConfig, Project, SourceConfig

CLASSES = ("even", "odd")


def write_photographs(folder: Path, count: int, side: int, first: int = 0) -> list[Path]:
    """Write files of smooth noise, all different, into a folder per class."""
    random = np.random.default_rng([side, first])
    paths = []
    for index in range(first, first + count):
        coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        path = folder / CLASSES[index % 2] / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def make_project(folder: Path) -> Project:
    """Make the project of such a folder; all of it is one shard, that uses every core."""
    source = SourceConfig(uri=str(folder), layout="class_folders", complete="count")
    data = DataConfig(formats=("JPEG",), shards=1)
    return Project(name="photographs", classes=CLASSES, source=source, data=data)
