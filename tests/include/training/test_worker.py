"""What a worker does to a training, tests of launching show; here, what becomes of one whose makers are gone."""

import subprocess
import sys

from include.settings import REPOSITORY

WAIT = "import os, time; from include.training.worker import _end_with_parents; _end_with_parents({parent})"


def start(parent):
    command = [sys.executable, "-c", WAIT.format(parent=parent)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE)


def test_it_ends_with_its_standard_input():
    with start("os.getppid()") as worker:
        worker.stdin.close()
        assert worker.wait(60) == 1


def test_it_ends_when_another_process_has_become_its_parent():
    with start("-1") as worker:
        assert worker.wait(60) == 1
