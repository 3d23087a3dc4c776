"""What containers share with this machine: folders, secrets, and the way to the ledger."""

import fcntl
import hashlib
import ipaddress
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from docker.types import Mount

from include.errors import ContractViolationError
from include.settings import MOUNTED_SECRETS, Settings
from include.storage import write_atomically

SOCKETS = "/run/sockets"
LEDGER_SOCKET = "/run/ledger"
SERVING_PORT = 8090


@dataclass(frozen=True)
class DockerHome:
    """The folder `docker` of a home: everything in it is for containers, or about them.

    :param ledger_uri: The ledger as it is reached from here.
    """

    settings: Settings
    ledger_uri: str

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.settings.home.resolve() / "docker"

    @property
    def name(self) -> str:
        """What every container of this home is called first; two homes may share an engine."""
        return f"windhover-{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}"

    @property
    def labels(self) -> dict[str, str]:
        """By which the containers of this home are found."""
        return {"windhover.home": str(self.root)}

    @property
    def sockets(self) -> Path:
        """Where every serving process listens."""
        return self.root / "sockets"

    @property
    def serving(self) -> Path:
        """What serving processes keep: segments of the prediction log, copies of releases, the last plan."""
        return self.root / "serving"

    @property
    def front(self) -> Path:
        """Configuration of the front."""
        return self.root / "front"

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that containers run as: the store's, for serving processes write their log there.

        :raises ContractViolationError: root's, or the store is no folder of this machine.
        """
        store = Path(self.settings.store_uri.removeprefix("file://"))
        if "://" in str(self.settings.store_uri).removeprefix("file://") or not store.is_dir():
            raise ContractViolationError(
                f"store {self.settings.store_uri} is no folder of this machine, and containers are given a folder; "
                "set WINDHOVER_STORE to one, or WINDHOVER_TARGET=process"
            )
        status = store.stat()
        if status.st_uid == 0:
            raise ContractViolationError(
                f"store {store} belongs to root, and no container runs as root; give it to another user: "
                f"chown -R 10001:10001 {store}"
            )
        if os.geteuid() not in {0, status.st_uid}:
            raise ContractViolationError(
                f"store {store} belongs to user {status.st_uid}, and this is user {os.geteuid()}, who cannot hand that "
                "user the ledger's password; deploy as the store's owner"
            )
        return status.st_uid, status.st_gid

    @property
    def network(self) -> str:
        """The network of a serving container: none where the ledger has a socket, this machine's for its loopback."""
        host = self._url.host or ""
        if not host:
            return "none"
        return "host" if host == "localhost" or _is_loopback(host) else "bridge"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one attempt at a time work on the containers of this home; the lock of a killed one is gone with it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def furnish(self) -> None:
        """Make the folders and secrets that containers are given.

        :raises ContractViolationError: the ledger or the store cannot be reached from a container.
        """
        uid, gid = self.owner
        for folder in (self.sockets, self.serving, self.front, self._secrets):
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, uid, gid)
        url, query = self._url, dict(self._url.query)
        if not url.host:
            query["host"] = LEDGER_SOCKET
        if "passfile" in query:
            self._write_secret("pgpass", Path(str(query["passfile"])).read_bytes())
            query["passfile"] = f"{MOUNTED_SECRETS}/pgpass"
        inside = url.set(query=query).render_as_string(hide_password=False)
        self._write_secret("windhover_ledger_uri", inside.encode())
        self._write_secret("windhover_serving_token", self.settings.serving_token.encode())

    def list_mounts(self) -> list[Mount]:
        """Return what a serving container sees of this machine."""
        store = Path(self.settings.store_uri.removeprefix("file://")).resolve()
        shared = [
            mount(store, "/data/store"),
            mount(self.serving, "/data/serving"),
            mount(self.sockets, SOCKETS),
            mount(self._secrets, str(MOUNTED_SECRETS), read_only=True),
            mount(self.settings.projects.resolve(), "/run/projects", read_only=True),
        ]
        socket = self._url.query.get("host")
        return shared if self._url.host else [*shared, mount(Path(str(socket)), LEDGER_SOCKET, read_only=True)]

    @property
    def _secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def _url(self) -> sa.URL:
        if not self.ledger_uri:
            raise ContractViolationError("the ledger's address is not known; set WINDHOVER_LEDGER_URI")
        return sa.make_url(self.ledger_uri)

    def _write_secret(self, name: str, secret: bytes) -> None:
        path = self._secrets / name
        self._secrets.chmod(0o700)
        write_atomically(path, secret)
        path.chmod(0o400)
        if os.geteuid() == 0:
            shutil.chown(path, *self.owner)


def mount(source: Path, target: str, *, read_only: bool = False) -> Mount:
    """Show a folder or socket of this machine to a container."""
    return Mount(target=target, source=str(source), type="bind", read_only=read_only)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
