"""How fast a shuffled epoch comes out of the store, as batches of tensors.

    .venv/bin/python -m benchmarks.epoch_throughput [--small 6000] [--large 600]

The same JPEG files lie in a class-per-folder tree for torchvision's ImageFolder with a DataLoader on all cores, and in
the dataset as published. `first epoch` decodes every image; `later epochs` find the images that fit into memory
decoded, beside the same images in a plain list. Every reader turns batches of 64 into uint8 tensors [N, 3, H, W].
"""

import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import PILToTensor

from benchmarks.photographs import write_photographs
from include.vision.stored_images import StoredImages

BATCH = 64
REPEATS = 3


def measure(count: int, side: int) -> dict[str, float]:
    """Return images per second of each reader, and the share of pixels that are equal in all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = write_photographs(Path(scratch) / "files", count, side)
        images = pa.array([path.read_bytes() for path in paths], pa.large_binary())
        version = lance.write_dataset(pa.table({"image": images}), f"{scratch}/images.lance")
        rows = np.arange(count)
        files = ImageFolder(f"{scratch}/files", transform=PILToTensor())
        # Lance warns about any fork; the DataLoader's processes do not use it.
        warnings.filterwarnings("ignore", message="lance is not fork-safe")
        loader = DataLoader(files, batch_size=BATCH, shuffle=True, num_workers=len(os.sched_getaffinity(0)))
        in_memory = [decode_with_pillow(path) for path in paths]
        kept = StoredImages(version, rows)
        list(kept)
        return {
            "first epoch": time_epoch(count, lambda: shuffle(StoredImages(version, rows, kept_bytes=0).read, count)),
            "ImageFolder": time_epoch(count, lambda: (batch for batch, _ in loader)),
            "later epochs": time_epoch(count, lambda: shuffle(kept.read, count)),
            "memory": time_epoch(count, lambda: shuffle(lambda chosen: [in_memory[i] for i in chosen], count)),
            "equal": float(np.mean([(one == other).all() for one, other in zip(kept, in_memory, strict=True)])),
        }


def decode_with_pillow(path: Path) -> NDArray[np.uint8]:
    """Decode as the ingestion that checked the image does."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image.convert("RGB"))


def shuffle(read: Callable[[Sequence[int]], list[NDArray[np.uint8]]], count: int) -> Iterator[torch.Tensor]:
    """Yield an epoch in random order as tensors."""
    for chosen in torch.randperm(count).split(BATCH):
        yield torch.from_numpy(np.stack(read(chosen.tolist()))).permute(0, 3, 1, 2)


def time_epoch(count: int, epoch: Callable[[], Iterator[torch.Tensor]]) -> float:
    """Return images per second of the best of some epochs: the machine's other work only ever slows one down."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        seen = sum(len(batch) for batch in epoch())
        best = min(best, time.perf_counter() - started)
        if seen != count:
            raise RuntimeError(f"{seen} of {count} images came")
    return count / best


def main(arguments: list[str] | None = None) -> list[dict[str, float]]:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=6_000, help="images of 64 x 64")
    parser.add_argument("--large", type=int, default=600, help="images of 512 x 512")
    chosen = parser.parse_args(arguments)
    results = []
    print("| images | first epoch | ImageFolder | ratio (goal 1.0) | later epochs | memory | ratio (goal 0.95) |")
    print("|---|---|---|---|---|---|---|")
    for side, count in ((64, chosen.small), (512, chosen.large)):
        found = measure(count, side)
        results.append(found)
        print(
            f"| {count} x {side}² | {found['first epoch']:,.0f}/s | {found['ImageFolder']:,.0f}/s "
            f"| {found['first epoch'] / found['ImageFolder']:.2f} | {found['later epochs']:,.0f}/s "
            f"| {found['memory']:,.0f}/s | {found['later epochs'] / found['memory']:.2f} |"
        )
    return results


if __name__ == "__main__":
    main()
