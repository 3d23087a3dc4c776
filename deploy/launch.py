"""Become one part of the stack. The supervisor runs this, so that no secret stands in its file or on a command line."""

import os
import sys
import time
from pathlib import Path

from deploy.credentials import load_credentials
from deploy.front import write_front
from deploy.home import Home, open_home
from deploy.parts import FRONT, PART_MARKER, describe_parts, name_replicas, shared_environment
from deploy.postgres import find_account
from deploy.processes import reap

DATABASE_SECONDS = 60


def main() -> None:
    """Replace this process by the part named on the command line."""
    home = open_home()
    part = describe_parts(home, load_credentials(home))[sys.argv[1]]
    _count_start(home, part.name)
    # A part killed alone leaves children that still hold its port, or go on with its tasks.
    reap(home, part.name)
    environment = shared_environment(home) | part.environment | {PART_MARKER: part.name}
    if part.name == "postgres":
        _become_account()
    if part.name == FRONT:
        write_front(home, name_replicas(home.replicas))
        os.chdir(home.front)
    if part.needs_database:
        _wait_for_database(home)
    os.execve(part.command[0], part.command, environment)


def starts_file(home: Home, name: str) -> Path:
    """Return the file whose size is the number of starts of a part since `up`."""
    return home.run / f"{name}.starts"


def count_starts(home: Home, name: str) -> int:
    """Return how often a part was started since `up`."""
    path = starts_file(home, name)
    return path.stat().st_size if path.exists() else 0


def _count_start(home: Home, name: str) -> None:
    # Appending one byte needs no lock.
    with starts_file(home, name).open("ab") as file:
        file.write(b".")


def _become_account() -> None:
    os.chdir("/")
    if account := find_account():
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def _wait_for_database(home: Home) -> None:
    # Imported late: a serving process that was killed is back sooner without.
    from deploy.databases import is_answering

    deadline = time.monotonic() + DATABASE_SECONDS
    while not is_answering(home) and time.monotonic() < deadline:
        time.sleep(0.2)


if __name__ == "__main__":
    main()
