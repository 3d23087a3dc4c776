"""The processes of one stack, found by what they carry, never by their name."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import psutil

from deploy.front import NGINX
from deploy.home import Home
from deploy.parts import FRONT, PART_MARKER, STACK_MARKER
from deploy.postgres import BINARIES

STOP_SECONDS = 20


def find_processes(home: Home, part: str | None = None) -> list[psutil.Process]:
    """Find every process of a home's stack, or of one part of it, but for this one and its parents."""
    mine = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    return [process for process in psutil.process_iter() if process.pid not in mine and _belongs(process, home, part)]


def reap(home: Home, part: str | None = None) -> int:
    """End what an earlier stack, or one part of it, left behind; return how many processes that were."""
    leftovers = find_processes(home, part)
    for process in leftovers:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(leftovers, timeout=STOP_SECONDS)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
    return len(leftovers)


def _belongs(process: psutil.Process, home: Home, part: str | None) -> bool:
    try:
        carried = process.environ()
        if carried.get(STACK_MARKER) == str(home.root):
            return part is None or carried.get(PART_MARKER) == part
        # These write their titles over their environment, yet always work inside a folder of their own.
        programs = {"postgres": (home.database, BINARIES), FRONT: (home.front, NGINX.parent)}
        return any(
            part in {None, name} and process.cwd() == str(folder) and _lies_in(process, binaries)
            for name, (folder, binaries) in programs.items()
        )
    except (psutil.Error, OSError):
        return False


def _lies_in(process: psutil.Process, folder: Path) -> bool:
    return Path(process.exe()).is_relative_to(folder.resolve())


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
