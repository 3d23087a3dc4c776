"""kill -9 in the middle of a publication, at every step: running it again completes it."""

import signal
import subprocess
import sys

import lance
import pytest

from include.data.publication import publish_partition
from include.ledger import Ledger
from include.ledger.datasets import find_latest_dataset, list_partitions
from include.settings import REPOSITORY
from tests.include.data.staged_days import make_rows, relabel, stage

ATTEMPT = """
import os, signal, sys
from pathlib import Path
import lance
from include.contracts import ValidationReport
from include.data import dataset, publication
from include.ledger import Ledger
from include.project import load_project
from include.storage import Store

def kill_around(owner, name, when):
    step = getattr(owner, name)
    def stepped(*arguments, **options):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        step(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, stepped)

project, store, uri, report, step, when = sys.argv[1:]
owner, name = {
    "create": (lance, "write_dataset"),
    "write": (publication, "write_fragments"),
    "delete": (lance.LanceFragment, "delete"),
    "commit": (lance.LanceDataset, "commit"),
    "tag": (dataset, "_tag"),
    "record": (dataset, "record_publication"),
}[step]
kill_around(owner, name, when)
publication.publish_partition(
    load_project(Path(project)), ValidationReport.model_validate_json(report), Store(store), Ledger(uri), "run-1"
)
"""
DAY, NEXT = "2026-11-02", "2026-11-03"
STEPS = ["write", "delete", "commit", "tag", "record"]


def attempt(store, ledger_uri, report, step, when):
    project = REPOSITORY / "include" / "projects" / "digits.yaml"
    command = [sys.executable, "-c", ATTEMPT, project, store.root, ledger_uri, report.model_dump_json(), step, when]
    return subprocess.run(command, cwd=REPOSITORY, check=False, timeout=120).returncode


def read(store):
    return lance.dataset(store.uri("digits/images.lance")).to_table().sort_by("digest")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_publication_is_completed_by_running_it_again(project, store, ledger, ledger_uri, step, when):
    rows = make_rows(DAY, 6)
    before = publish_partition(project, stage(project, rows, store), store, ledger, "run-1")
    changed = relabel(rows.slice(1), 0, "7")
    report = stage(project, changed, store)
    assert attempt(store, ledger_uri, report, step, when) == -signal.SIGKILL
    is_recorded = (step, when) == ("record", "after")
    assert (find_latest_dataset(ledger, "digits") == before) is not is_recorded
    is_committed = is_recorded or step in {"tag", "record"} or (step, when) == ("commit", "after")
    assert read(store) == (changed if is_committed else rows).sort_by("digest")

    dataset = publish_partition(project, report, store, ledger, "run-1")

    assert dataset.version == before.version + 1
    assert dataset.digest == report.digest
    assert read(store) == changed.sort_by("digest")
    assert find_latest_dataset(Ledger(ledger_uri), "digits") == dataset
    assert list_partitions(ledger, "digits") == {DAY: report}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dataset_killed_at_its_beginning_is_begun_again(project, store, ledger, ledger_uri, when):
    report = stage(project, make_rows(DAY, 3), store)
    assert attempt(store, ledger_uri, report, "create", when) == -signal.SIGKILL
    assert find_latest_dataset(ledger, "digits") is None
    assert publish_partition(project, report, store, ledger, "run-1").images == 3


def test_a_kill_leaves_the_published_version_as_it_was(project, store, ledger, ledger_uri):
    before = publish_partition(project, stage(project, make_rows(DAY, 6), store), store, ledger, "run-1")
    report = stage(project, make_rows(NEXT, 6, first=20), store)
    assert attempt(store, ledger_uri, report, "commit", "before") == -signal.SIGKILL
    assert publish_partition(project, list_partitions(ledger, "digits")[DAY], store, ledger, "run-1") == before
    assert publish_partition(project, report, store, ledger, "run-1").images == 12
