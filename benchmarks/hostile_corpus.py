"""What becomes of files that somebody made to hurt, on the way that ingest takes: decoded in processes of their own.

    .venv/bin/python -m benchmarks.hostile_corpus

Each class of hostile files has one right end: a reason to refuse it, or acceptance without what was hidden in it. Bits
flipped at random have none, but may do no harm. Clean files beside them must all be accepted.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hostile_files import ACCEPTED, ANYTHING, CLASSES, MAX_BYTES, MAX_PIXELS, SECRET, make_clean
from include.data.decoders import decode_files
from include.data.sources.local import LocalFolder
from include.project import DataConfig

CLEAN = "clean"
HARM = ("decoder_crashed", "decoder_timeout")
DATA = DataConfig(formats=("PNG", "JPEG", "WEBP", "BMP"), max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
EXTENSIONS = ("png", "jpg", "gif", "txt", "exe")


@dataclass
class Outcome:
    """What became of the files of one class."""

    expected: str
    got: Counter[str] = field(default_factory=Counter)
    leaks: int = 0

    @property
    def wrong(self) -> int:
        """Count the files with another end than the right one, or with a harmful one."""
        harmful = sum(self.got[reason] for reason in HARM)
        right = sum(self.got.values()) - harmful if self.expected == ANYTHING else self.got[self.expected]
        return sum(self.got.values()) - right + self.leaks


def write_corpus(folder: Path, hostile: int, clean: int) -> list[tuple[str, str]]:
    """Write the files under extensions that say nothing; return name and class of each."""
    kinds = list(CLASSES)
    files = []
    for number in range(hostile + clean):
        kind = kinds[number % len(kinds)] if number < hostile else CLEAN
        seed = make_clean(number)
        name = f"{number:06}.{EXTENSIONS[number % len(EXTENSIONS)]}"
        (folder / name).write_bytes(seed.either() if kind == CLEAN else CLASSES[kind][1](seed))
        files.append((name, kind))
    return files


def decode_corpus(folder: Path, files: list[tuple[str, str]]) -> dict[str, Outcome]:
    """Send all files through the decoder processes and sort what comes back by class."""
    outcomes = {kind: Outcome(CLASSES[kind][0] if kind != CLEAN else ACCEPTED) for _, kind in files}
    names = [name for name, _ in files]
    for decoded in decode_files(LocalFolder(str(folder)), names, DATA, len(os.sched_getaffinity(0)), {}):
        for position, image in zip(decoded.positions, decoded.images, strict=True):
            outcome = outcomes[files[position][1]]
            outcome.got[ACCEPTED] += 1
            outcome.leaks += outcome.expected == ACCEPTED and SECRET in image
        for refused in decoded.refused:
            outcomes[files[refused.position][1]].got[refused.reason] += 1
    return outcomes


def describe(outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| class | files | expected | got | crashed | over 2 s | payload left | wrong |"
    yield "|---|--:|---|---|--:|--:|--:|--:|"
    for kind, outcome in outcomes.items():
        got = ", ".join(f"{reason} {count}" for reason, count in outcome.got.most_common())
        harm = " | ".join(str(outcome.got[reason]) for reason in HARM)
        files = sum(outcome.got.values())
        yield f"| {kind} | {files} | {outcome.expected} | {got} | {harm} | {outcome.leaks} | {outcome.wrong} |"


def main(arguments: list[str] | None = None) -> dict[str, Outcome]:
    """Make the corpus, decode it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hostile", type=int, default=10_000)
    parser.add_argument("--clean", type=int, default=1_000)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        files = write_corpus(Path(folder), chosen.hostile, chosen.clean)
        started = time.perf_counter()
        outcomes = decode_corpus(Path(folder), files)
        seconds = time.perf_counter() - started
    lost = len(files) - sum(sum(outcome.got.values()) for outcome in outcomes.values())
    wrong = sum(outcome.wrong for outcome in outcomes.values())
    print(*describe(outcomes), sep="\n")
    print(f"\n{len(files)} files in {seconds:.0f} s: {wrong} with a wrong end, {lost} without one")
    return outcomes


if __name__ == "__main__":
    main()
