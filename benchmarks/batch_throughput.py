"""How many stored images a second a batch is answered with, beside a bare loop of ONNX Runtime.

    .venv/bin/python -m benchmarks.batch_throughput [--images 12000] [--rounds 5]

The loop reads and decodes the stored files and runs the graph in batches of 64, in as many threads as there are cores,
and keeps nothing. The batch proves dataset and release, too, writes every answer with its embedding, and publishes.
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from benchmarks.serving_process import make_project, open_service
from include.contracts import DatasetRef
from include.deployment.batch import BATCH, find_champion, score_partition
from include.ledger import Ledger
from include.settings import Settings
from include.storage import digest_bytes
from include.vision.decoding import encode_canonical
from include.vision.images import digest_rows
from include.vision.releases import Bundle, open_graph, run_graph
from include.vision.stored_images import decode_stored

DAY = "2026-01-01"
NETWORKS = {"small_cnn": 32, "resnet18": 224}
GOAL = 0.9


@dataclass(frozen=True)
class Throughput:
    """Images per second of one network, by round."""

    network: str
    images: int
    bare: list[float]
    batch: list[float]

    @property
    def share(self) -> float:
        """What is left of the bare loop's speed: the median of rounds, for a round's neighbours share its noise."""
        return statistics.median(batch / bare for batch, bare in zip(self.batch, self.bare, strict=True))


def publish_noise(settings: Settings, project: str, images: int, side: int) -> DatasetRef:
    """Write a dataset of one day, of smooth noise in PNG files, all different."""
    random = np.random.default_rng(side)
    coarse = random.integers(0, 256, (images, side // 8, side // 8, 3), dtype=np.uint8)
    files = [encode_canonical(np.kron(one, np.ones((8, 8, 1), np.uint8))) for one in coarse]
    rows = pa.table({
        "digest": [digest_bytes(file) for file in files],
        "image": pa.array(files, pa.large_binary()),
        **dict.fromkeys(("label", "group"), pa.nulls(images, pa.string())),
        **{name: pa.array([value] * images) for name, value in {"split": "train", "partition": DAY}.items()},
    })  # fmt: skip
    address = f"{project}/images.lance"
    version = lance.write_dataset(rows, settings.open_store().uri(address)).version
    return DatasetRef(
        project=project, address=address, version=version, digest=digest_rows(rows), images=images, labelled=0
    )


def run_bare(settings: Settings, dataset: DatasetRef, bundle: Bundle) -> float:
    """Return images per second of decoding and the graph alone."""
    files = lance.dataset(settings.open_store().uri(dataset.address)).to_table(columns=["image"])["image"].to_pylist()
    graph = open_graph(bundle.graph)
    places = range(0, len(files), BATCH)
    started = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for _ in threads.map(
            lambda at: run_graph(graph, np.stack([*map(decode_stored, files[at : at + BATCH])])), places
        ):
            pass
    return len(files) / (time.perf_counter() - started)


def measure(network: str, images: int, rounds: int) -> Throughput:
    """Answer the same images both ways, in turns."""
    side = NETWORKS[network]
    project = make_project(network, side)
    bare, batch = [], []
    with tempfile.TemporaryDirectory() as folder, open_service(project, Path(folder)) as (settings, bundle):
        dataset = publish_noise(settings, project.name, images, side)
        store, ledger = settings.open_store(), Ledger(settings.ledger_uri)
        release = find_champion(ledger, project.name, datetime.now(UTC))
        for _ in range(rounds):
            bare.append(run_bare(settings, dataset, bundle))
            started = time.perf_counter()
            report = score_partition(dataset, DAY, release, store, ledger)
            batch.append(report.images / (time.perf_counter() - started))
            store.remove(report.address)
    return Throughput(network, images, bare, batch)


def main(arguments: list[str] | None = None) -> list[Throughput]:
    """Measure every network and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=12_000, help="a fortieth for the large network")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    print("| network | images | bare loop | batch | share |")
    print("|---|--:|--:|--:|--:|")
    results = []
    for network in chosen.networks:
        images = chosen.images if network == "small_cnn" else max(1, chosen.images // 40)
        found = measure(network, images, chosen.rounds)
        results.append(found)
        bare, batch = statistics.median(found.bare), statistics.median(found.batch)
        print(
            f"| {network} | {images:,} | {bare:,.0f}/s | {batch:,.0f}/s | {found.share:.2f} (goal {GOAL:g}) |",
            flush=True,
        )
    return results


if __name__ == "__main__":
    main()
