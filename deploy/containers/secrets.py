"""Generate the secret files docker-compose.yml mounts: `python -m deploy.containers.secrets [FOLDER]`."""

import base64
import os
import secrets
import sys
import tempfile
from pathlib import Path

FOLDER = Path(".secrets")
ADMIN = "admin_password"
FERNET_KEY = "fernet_key"
NOTIFY_URLS = "notify_urls"
NAMES = (
    ADMIN,
    FERNET_KEY,
    "jwt_secret",
    "api_secret_key",
    "redis_password",
    "postgres_password",
    "airflow_database_password",
    "mlflow_database_password",
    "windhover_database_password",
    "serving_token",
    NOTIFY_URLS,
)


def generate_secrets(folder: Path) -> list[str]:
    """Create the files that are missing, never touching one that is there; return the names of the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    # Containers run as users of their own and read the mounted files; the closed folder keeps others on the host out.
    folder.chmod(0o700)
    return [name for name in NAMES if _create(folder / name)]


def _create(path: Path) -> bool:
    if path.exists():
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(_generate(path.name))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o444)
        # Unlike a rename, a link refuses a name that another run has taken meanwhile.
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink()
    return True


def _generate(name: str) -> str:
    if name == NOTIFY_URLS:
        return "# Channels for notifications, one Apprise URL a line, `tag=` before it where it is not for everybody.\n"
    key = secrets.token_bytes(32)
    return base64.urlsafe_b64encode(key).decode() if name == FERNET_KEY else key.hex()


def main() -> None:
    """Generate what is missing and say where the administrator's password is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    new = generate_secrets(folder)
    print(f"{len(new)} of {len(NAMES)} secrets are new in {folder.absolute()}")  # noqa: T201
    print(f"Airflow's user is admin, the password is in {folder.absolute() / ADMIN}")  # noqa: T201


if __name__ == "__main__":
    main()
