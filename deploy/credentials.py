"""Passwords and keys of one stack: generated once, kept in files only the owner can read."""

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from deploy.home import DATABASE_USER, Home

ADMIN = "admin"


@dataclass(frozen=True, repr=False)
class Credentials:
    """What the parts prove themselves with."""

    admin_password: str
    postgres_password: str
    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    serving_token: str


def ensure_credentials(home: Home) -> bool:
    """Generate what is missing; tell whether the admin password is new."""
    home.secrets.mkdir(parents=True, exist_ok=True)
    home.secrets.chmod(0o700)
    first = not (home.secrets / "admin_password").exists()
    for name in Credentials.__dataclass_fields__:
        path = home.secrets / name
        if not path.exists():
            secret = Fernet.generate_key().decode() if name == "fernet_key" else secrets.token_urlsafe(24)
            _write_privately(path, secret)
    credentials = load_credentials(home)
    _write_privately(airflow_users_file(home), json.dumps({ADMIN: credentials.admin_password}))
    _write_privately(home.passwords, f"*:*:*:{DATABASE_USER}:{credentials.postgres_password}\n")
    return first


def load_credentials(home: Home) -> Credentials:
    """Read the credentials of a home that has been started before."""
    return Credentials(**{name: (home.secrets / name).read_text() for name in Credentials.__dataclass_fields__})


def airflow_users_file(home: Home) -> Path:
    """Return the file in which Airflow's SimpleAuthManager finds passwords by user."""
    return home.secrets / "airflow_users.json"


def _write_privately(path: Path, secret: str) -> None:
    # Beside and renamed: a killed `up` must not leave an empty password behind. `mkstemp` makes files of mode 0600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
