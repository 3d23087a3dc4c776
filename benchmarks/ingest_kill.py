"""What kill -9 does to ingest and publication: at many moments, then run again.

    .venv/bin/python -m benchmarks.ingest_kill [--points 100] [--images 12]

One day is published. The next is ingested, or published, by a process that is killed with all its workers after a
share of the time that the stage took undisturbed, so that the kills spread over the stage; then it runs again, as
Airflow would. Meanwhile a reader opens the dataset again and again. Every point begins from a copy of the same store.
"""

import argparse
import itertools
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import lance

from benchmarks.attempts import (
    Attempt,
    Ground,
    attempt,
    carry,
    keep_silent,
    list_keys,
    open_ground,
    prepare,
    print_findings,
    publish,
    read_members,
    read_rows,
    start_postgres,
)
from include.contracts import DatasetRef, ValidationReport
from include.ledger.datasets import find_latest_dataset
from include.vision.images import CONTENT_COLUMNS, digest_rows

# Publication is what must be atomic: half of the points are there.
ROUND = ("publish", "ingest") * 4 + ("publish", "validate")
TRIES = 6


@dataclass
class Findings:
    """What was seen; everything but `kills`, `looks` and `seconds` should be empty or 0."""

    kills: Counter[str] = field(default_factory=Counter)
    other_digests: int = 0
    lost: int = 0
    doubled: int = 0
    half_visible: int = 0
    members_wrong: int = 0
    failures: list[str] = field(default_factory=list)
    looks: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Scene:
    """The store before the second day is ingested and before it is published, and how it ends undisturbed."""

    ground: Ground
    folder: Path
    day: str
    published: ValidationReport
    staged: ValidationReport
    before: DatasetRef
    after: DatasetRef
    keys: list[tuple[str, str]]
    seconds: dict[str, float]

    def set_up(self, stage: str) -> Ground:
        """Begin again from a copy of the store as it was before a stage."""
        point = self.ground.move(self.folder / "point")
        shutil.rmtree(point.store_uri, ignore_errors=True)
        shutil.copytree(self.folder / ("validated" if stage == "publish" else "published"), point.store_uri)
        point.empty_ledger()
        publish(point, self.published, keep_silent)
        return point


class Reader(threading.Thread):
    """Opens the newest version all the time; any content but the two days' or the first's is half a publication."""

    def __init__(self, ground: Ground, scene: Scene, findings: Findings) -> None:
        super().__init__()
        self._uri = ground.store.uri(scene.before.address)
        self._allowed = {scene.before.digest, scene.after.digest}
        self._findings = findings
        self._over = threading.Event()

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(0.02):
            rows = lance.dataset(self._uri).to_table(columns=CONTENT_COLUMNS)
            self._findings.looks += 1
            self._findings.half_visible += digest_rows(rows) not in self._allowed


def stage_scene(folder: Path, ledger_uri: str, images: int) -> Scene:
    """Take two days through all stages undisturbed, keeping the store as it is in between, and time the second."""
    ground, (first, second) = open_ground(folder, ledger_uri, 2, images)
    published = prepare(ground, first, keep_silent)
    before = publish(ground, published, keep_silent)
    shutil.copytree(ground.store_uri, folder / "published")
    timed = attempt(prepare, ground, second)
    staged = ValidationReport.model_validate_json(_require_done(timed))
    seconds = {
        "ingest": timed.started["validate"] - timed.started["ingest"],
        "validate": time.monotonic() - timed.started["validate"],
    }
    shutil.copytree(ground.store_uri, folder / "validated")
    scene = Scene(ground, folder, second, published, staged, before, before, [], seconds)
    publications = []
    for _ in range(3):
        point = scene.set_up("publish")
        timed = attempt(publish, point, staged)
        after = DatasetRef.model_validate_json(_require_done(timed))
        publications.append(time.monotonic() - timed.started["publish"])
    seconds["publish"] = statistics.median(publications)
    keys = list_keys(read_rows(point, after))
    return Scene(ground, folder, second, published, staged, before, after, keys, seconds)


def kill_at(scene: Scene, stage: str, share: float, findings: Findings) -> None:
    """Kill an attempt in a stage, run it again, and look at what there is."""
    for shorter in range(TRIES):
        point = scene.set_up(stage)
        with Reader(point, scene, findings):
            killed = _is_killed(_begin(point, scene, stage), stage, share * scene.seconds[stage] / 2**shorter)
            if killed:
                findings.kills[stage] += 1
                _examine(point, scene, findings, find_latest_dataset(point.ledger, point.project.name))
                again = _begin(point, scene, stage) if stage == "publish" else attempt(carry, point, scene.day)
                kind, text = again.finish()
        if killed:
            break
    if not killed or kind != "done":
        findings.failures.append(f"{stage}, {share:.0%}: {text or 'it died' if killed else 'it was always too quick'}")
        return
    final = DatasetRef.model_validate_json(text)
    findings.other_digests += final.digest != scene.after.digest
    found = Counter(list_keys(read_rows(point, final)))
    findings.lost += len(set(scene.keys) - set(found))
    findings.doubled += sum(found.values()) - len(found)
    findings.members_wrong += read_members(point) != scene.keys


def measure(folder: Path, ledger_uri: str, points: int, images: int) -> Findings:
    """Kill at so many points, spread over the stages; return what was seen."""
    findings, started = Findings(), time.monotonic()
    scene = stage_scene(folder, ledger_uri, images)
    stages = list(itertools.islice(itertools.cycle(ROUND), points))
    met: Counter[str] = Counter()
    for stage in stages:
        kill_at(scene, stage, (met[stage] + 0.5) / stages.count(stage), findings)
        met[stage] += 1
    findings.seconds = time.monotonic() - started
    return findings


def _begin(point: Ground, scene: Scene, stage: str) -> Attempt:
    return attempt(publish, point, scene.staged) if stage == "publish" else attempt(prepare, point, scene.day)


def _is_killed(running: Attempt, stage: str, after: float) -> bool:
    if running.reach(stage):
        time.sleep(max(0.0, running.started[stage] + after - time.monotonic()))
        running.kill()
    return running.finish() == ("", "")


def _examine(point: Ground, scene: Scene, findings: Findings, recorded: DatasetRef | None) -> None:
    """Count it as half visible if what the ledger calls the newest version is not one of the two, whole."""
    if recorded is None:
        findings.half_visible += 1
        return
    digest = digest_rows(read_rows(point, recorded))
    whole = digest == recorded.digest and digest in {scene.before.digest, scene.after.digest}
    findings.half_visible += not whole


def _require_done(running: Attempt) -> str:
    kind, text = running.finish()
    if kind != "done":
        raise RuntimeError(f"undisturbed, an attempt {kind or 'died'}: {text}")
    return text


def report(findings: Findings) -> None:
    """Print what was seen as a table."""
    kills = ", ".join(f"{stage} {count}" for stage, count in sorted(findings.kills.items()))
    lines = {
        "kill -9, then run again": f"{findings.kills.total()} ({kills})",
        "other final digest": findings.other_digests,
        "rows lost": findings.lost,
        "rows doubled": findings.doubled,
        "half-visible": f"{findings.half_visible} of {findings.looks} looks by a reader",
        "ledger names other rows": findings.members_wrong,
        "did not complete": len(findings.failures),
        "seconds": f"{findings.seconds:.0f}",
    }
    print_findings(lines, findings.failures)


def main(arguments: Sequence[str] | None = None) -> Findings:
    """Kill, look and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100, help="kills, spread over the stages")
    parser.add_argument("--images", type=int, default=12, help="images of a day")
    parser.add_argument("--ledger", default="", help="database to use, which is EMPTIED; a server is started without")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windhover-")))
        ledger_uri = chosen.ledger or stack.enter_context(start_postgres())
        findings = measure(folder, ledger_uri, chosen.points, chosen.images)
    report(findings)
    return findings


if __name__ == "__main__":
    main()
