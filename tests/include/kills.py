"""kill -9 around each change to a store, in a process of its own."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from include.storage import Store


def run_and_kill(store: Store, step: int, work: Callable[[], object]) -> int:
    """Run work in a child that dies in front of, or behind, its so many-th change to the store; return its exit code.

    The changes are files written and files deleted, each counted twice; 0 says that there were fewer.
    """
    child = os.fork()
    if child == 0:
        _die_at(store, step)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(store: Store, step: int) -> None:
    left = [step]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: object, **options: object) -> None:
            count()
            change(*arguments, **options)
            count()

        return changed

    store.write, Path.unlink = around(store.write), around(Path.unlink)
