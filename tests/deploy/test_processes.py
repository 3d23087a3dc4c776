import os
import subprocess
import sys

import pytest

from deploy.home import Home, Ports
from deploy.parts import PART_MARKER, STACK_MARKER
from deploy.processes import find_processes, reap
from include.settings import Settings

STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
)


@pytest.fixture
def start():
    started = []

    def start(home, part="mlflow"):
        carried = {STACK_MARKER: str(home.root), PART_MARKER: part}
        process = subprocess.Popen(
            [sys.executable, "-c", STUBBORN], env=os.environ | carried, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_processes_are_found_by_home_and_part(home, tmp_path, start):
    other = Home(Settings(home=tmp_path / "other"), Ports())
    mlflow, serving, stranger = start(home), start(home, "serving"), start(other)
    assert {process.pid for process in find_processes(home)} == {mlflow.pid, serving.pid}
    assert [process.pid for process in find_processes(home, "serving")] == [serving.pid]
    assert [process.pid for process in find_processes(other)] == [stranger.pid]


def test_a_shell_in_the_same_home_is_none_of_them(home, monkeypatch):
    monkeypatch.setenv("WINDHOVER_HOME", str(home.root))
    with subprocess.Popen(["sleep", "30"], cwd=home.root) as shell:
        assert find_processes(home) == []
        assert reap(home) == 0
        assert shell.poll() is None
        shell.kill()


def test_reaping_ends_even_what_ignores_the_polite_signal(home, start, monkeypatch):
    monkeypatch.setattr("deploy.processes.STOP_SECONDS", 1)
    start(home)
    assert reap(home) == 1
    assert find_processes(home) == []
