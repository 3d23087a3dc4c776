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

ATTEMPT = """
import os, signal, sys
from pathlib import Path
import lance
from lance.dataset import MergeInsertBuilder
from include.contracts import ValidationReport
from include.data import publication
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
    "write": (MergeInsertBuilder, "execute_uncommitted"),
    "commit": (lance.LanceDataset, "commit"),
    "refer": (publication, "_refer_to"),
    "record": (publication, "record_publication"),
}[step]
kill_around(owner, name, when)
publication.publish_partition(
    load_project(Path(project)), ValidationReport.model_validate_json(report), Store(store), Ledger(uri), "run-1"
)
"""
STEPS = ["create", "write", "commit", "refer", "record"]


def attempt(store, ledger_uri, report, step, when):
    project = REPOSITORY / "include" / "projects" / "digits.yaml"
    command = [sys.executable, "-c", ATTEMPT, project, store.root, ledger_uri, report.model_dump_json(), step, when]
    return subprocess.run(command, cwd=REPOSITORY, check=False, timeout=120).returncode


@pytest.fixture(scope="module")
def digests():
    return {}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_publication_is_completed_by_running_it_again(
    project, store, ledger, ledger_uri, make_day, digests, step, when
):
    report = make_day(images=12).close().validate(project, store)
    assert attempt(store, ledger_uri, report, step, when) == -signal.SIGKILL
    assert find_latest_dataset(ledger, "digits") is None or (step, when) == ("record", "after")

    dataset = publish_partition(project, report, store, ledger, "run-1")

    digests[step, when] = dataset.digest
    assert set(digests.values()) == {dataset.digest}
    assert dataset.images == lance.dataset(str(store.path(dataset.address))).count_rows() == 12
    assert find_latest_dataset(Ledger(ledger_uri), "digits") == dataset
    assert list_partitions(ledger, "digits") == {"2026-11-02": report}


def test_a_kill_leaves_the_published_version_as_it_was(project, store, ledger, ledger_uri, make_day):
    before = publish_partition(project, make_day(images=12).close().validate(project, store), store, ledger, "run-1")
    report = make_day("2026-11-03", 20, 12).close().validate(project, store)
    assert attempt(store, ledger_uri, report, "commit", "before") == -signal.SIGKILL
    assert publish_partition(project, list_partitions(ledger, "digits")["2026-11-02"], store, ledger, "run-1") == before
    assert publish_partition(project, report, store, ledger, "run-1").images == 24
