"""How fast images come in with every check, against the least that anybody has to do with them.

    .venv/bin/python -m benchmarks.ingest_throughput [--small 20000] [--large 2000] [--rounds 3]

`bare limit` reads each JPEG, takes its SHA-256 and decodes it to RGB with Pillow, in a process pool on all cores.
`ingested` opens the delivery, reads, checks, strips, decodes, fingerprints, finds copies, and stages and merges the
rows, one shard on all cores. `published` is the same and then the suite's validation and a version of the dataset. They
take turns on the same files; each figure is the best of its rounds: the machine's other work only ever slows one down.
"""

import argparse
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

from PIL import Image

from benchmarks.attempts import start_postgres
from benchmarks.photographs import make_project, write_photographs
from include.contracts import ShardReport
from include.data.arrivals import find_complete_batch, plan_shards
from include.data.ingestion import ingest_shard
from include.data.merging import merge_shards, publish_merged
from include.data.publication import publish_partition
from include.data.validation import validate_partition
from include.ledger import Ledger
from include.project import Project
from include.storage import Store

CHUNK = 128
WARM_UP = 50


@dataclass(frozen=True)
class Figures:
    """Images per second, and what became of the images."""

    images: int
    side: int
    bare: float
    ingested: float
    published: float
    accepted: int
    decoded: int

    @property
    def ratio(self) -> float:
        """Share of the bare limit that is reached."""
        return self.ingested / self.bare


def measure(images: int, side: int, rounds: int, ledger: Ledger) -> Figures:
    """Let the bare limit and the pipeline take turns on the same files."""
    with tempfile.TemporaryDirectory() as folder, get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        scratch = Path(folder)
        paths = write_photographs(scratch / "files", images, side)
        write_photographs(scratch / "few", WARM_UP, side)
        take_in(make_project(scratch / "few"), Store(str(scratch / "few-store")), ledger, publish=True)
        bare, ingested, published, decoded, accepted = [], [], [], 0, 0
        for number in range(rounds):
            seconds, decoded = clock(decode_bare, pool, paths)
            bare.append(seconds)
            for results, publish in ((ingested, False), (published, True)):
                # A store of its own: what is staged already is not staged again.
                store = Store(str(scratch / f"store-{number}-{publish}"))
                seconds, accepted = clock(take_in, make_project(scratch / "files"), store, ledger, publish)
                results.append(seconds)
        rates = [images / min(results) for results in (bare, ingested, published)]
    return Figures(images, side, *rates, accepted=accepted, decoded=decoded)


def clock(work: Callable[..., int], *arguments: object) -> tuple[float, int]:
    """Return how long a piece of work takes, and its result."""
    started = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - started, result


def decode_bare(pool: Pool, paths: Sequence[Path]) -> int:
    """Decode all files in a pool; return how many there were."""
    return sum(pool.imap_unordered(decode_one, map(str, paths), CHUNK))


def decode_one(path: str) -> int:
    """Read one file, take its digest and decode it."""
    with open(path, "rb") as file:  # noqa: PTH123 - a bare limit makes no detours
        data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return int(bool(digest) and image.mode == "RGB")


def take_in(project: Project, store: Store, ledger: Ledger, publish: bool) -> int:
    """Take a delivery in as far as its merged rows, or as far as the dataset; return the accepted images."""
    batch = find_complete_batch(project, "", "snapshot")
    if batch is None:
        raise ValueError(f"{project.source.uri} holds no images")
    reports = [ingest_shard(project, shard, store, ledger) for shard in plan_shards(project, batch)]
    if publish:
        validation = validate_partition(project, reports, store, ledger)
        return publish_partition(project, validation, store, ledger, store.root).images
    return stage(project, reports, store)


def stage(project: Project, reports: Sequence[ShardReport], store: Store) -> int:
    """Merge the shards and stage the partition; return its images."""
    merged = merge_shards(project, reports, store)
    publish_merged(project, "snapshot", reports, merged, store)
    return int(merged.manifest.num_rows)


def main(arguments: Sequence[str] | None = None) -> list[Figures]:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=20_000, help="images of 64 x 64")
    parser.add_argument("--large", type=int, default=2_000, help="images of 512 x 512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ledger", default="", help="database to use; a server is started without")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        ledger = Ledger(chosen.ledger or stack.enter_context(start_postgres()))
        ledger.migrate()
        results = [measure(chosen.small, 64, chosen.rounds, ledger), measure(chosen.large, 512, chosen.rounds, ledger)]
    print(f"{len(os.sched_getaffinity(0))} cores, best of {chosen.rounds} rounds, images per second")
    print("| images | bare limit | ingested | ratio (goal 0.80) | published | ratio |\n|---|---|---|---|---|---|")
    for found in results:
        print(
            f"| {found.images} x {found.side}² | {found.bare:,.0f} | {found.ingested:,.0f} | {found.ratio:.2f} "
            f"| {found.published:,.0f} | {found.published / found.bare:.2f} |"
        )
    return results


if __name__ == "__main__":
    main()
