"""Make .venv hold exactly requirements.lock. Standard library only: this runs before anything is installed.

Run by `make` before every target; it ends at once when the lock has been installed already.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
REPOSITORY = Path(__file__).resolve().parents[1]


def ensure_environment(repository: Path) -> None:
    """Install the lock unless it is installed; what a killed attempt left is thrown away first."""
    lock = (repository / "requirements.lock").read_text()
    folder = repository / ".venv"
    stamp, unfinished = folder / ".installed", folder / ".installing"
    digest = hashlib.sha256(lock.encode()).hexdigest()
    with (repository / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if is_installed(stamp, digest) and not unfinished.exists():
            return
        if unfinished.exists() or not _runs(folder / "bin" / "python", "-m", "pip", "--version"):
            _remove(folder)
            _run(sys.executable, "-m", "venv", folder)
        unfinished.touch()
        _install(folder / "bin", find_uv(lock), repository)
        stamp.write_text(digest)
        unfinished.unlink()


def is_installed(stamp: Path, digest: str) -> bool:
    """Tell whether a finished installation of this very lock stands."""
    return stamp.exists() and stamp.read_text() == digest


def find_uv(lock: str) -> str:
    """Return the lock's own pin of uv, such as `uv==0.9.1`."""
    pin = re.search(r"^uv==[^\s;]+", lock, re.MULTILINE)
    if pin is None:
        sys.exit("requirements.lock does not pin uv, which installs it; add uv to requirements.txt and lock again")
    return pin.group()


def _install(scripts: Path, uv: str, repository: Path) -> None:
    sys.stderr.write("installing requirements.lock into .venv\n")
    if not _runs(scripts / "uv", "--version"):
        _run(scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", uv)
    lock = repository / "requirements.lock"
    _run(scripts / "uv", "pip", "sync", "--quiet", "--python", scripts / "python", lock)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _runs(*command: "str | Path") -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(*command: "str | Path") -> None:
    code = subprocess.run(command, check=False, env={**os.environ, "VIRTUAL_ENV": ""}).returncode
    if code:
        sys.exit("`{}` failed with exit code {}; its message is above".format(" ".join(map(str, command)), code))


if __name__ == "__main__":
    if sys.version_info < OLDEST:
        sys.exit(
            "Windhover needs Python {}.{} or newer, {} is {}.{}; choose another with `make PYTHON=...`".format(
                *OLDEST, sys.executable, *sys.version_info[:2]
            )
        )
    ensure_environment(REPOSITORY)
