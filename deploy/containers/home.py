"""Where the parts find each other and their secrets inside the containers."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.errors import StackError
from deploy.home import Home, Ports, private_umask
from include.settings import load_settings

MOUNTED_SECRETS = Path("/run/secrets")
RUNTIME = Path("/run/windhover")
LOGS = Path("/data/logs")
POSTGRES = "postgres"
DATABASES = ("airflow", "mlflow", "windhover")


@dataclass(frozen=True)
class ContainerHome(Home):
    """The home as one container sees it: services by name, secrets in memory, data on volumes."""

    mounted: Path = MOUNTED_SECRETS
    runtime: Path = RUNTIME

    @property
    def secrets(self) -> Path:
        """Secrets in the form the parts read; in memory only."""
        return self.runtime / "secrets"

    @property
    def airflow(self) -> Path:
        """`AIRFLOW_HOME`; nothing in it has to survive the container."""
        return self.runtime / "airflow"

    @property
    def logs(self) -> Path:
        """Task logs, on a volume all Airflow parts share."""
        return LOGS

    @property
    def airflow_url(self) -> str:
        """The API server, from another container."""
        return f"http://api-server:{self.ports.airflow}"

    @property
    def postgres_host(self) -> str:
        """The database server, from another container."""
        return POSTGRES

    def database_url(self, database: str) -> str:
        """URL of one of the databases, as the one role that owns it."""
        passwords = quote(str(self.passwords), safe="")
        server = f"{self.postgres_host}:{self.ports.postgres}"
        return f"postgresql+psycopg2://{database}@{server}/{database}?passfile={passwords}"

    def has_secret(self, name: str) -> bool:
        """Tell whether the compose file gives this container a secret."""
        return (self.mounted / name).exists()

    def read_secret(self, name: str) -> str:
        """Read a secret; one that is absent or empty is a `StackError`, never a default."""
        path = self.mounted / name
        try:
            secret = path.read_text().strip()
        except OSError as error:
            raise StackError(f"secret {path} is not readable: {error.strerror}; run `make compose-secrets`") from error
        if not secret:
            raise StackError(f"secret {path} is empty; delete the file on the host and run `make compose-secrets`")
        return secret

    def write_database_passwords(self) -> None:
        """Write the passwords of the mounted roles where libpq and asyncpg look for them, so that no URL has one."""
        lines = [
            f"{self.postgres_host}:{self.ports.postgres}:{name}:{name}:{self.read_secret(f'{name}_database_password')}\n"
            for name in DATABASES
            if self.has_secret(f"{name}_database_password")
        ]
        self.write_secret(self.passwords, "".join(lines))

    def write_secret(self, path: Path, secret: str) -> None:
        """Write a file only this container's user can read, as libpq insists."""
        with private_umask():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(secret)


def open_container_home() -> ContainerHome:
    """Read the locations of this container."""
    return ContainerHome(load_settings(), Ports(postgres=5432))
