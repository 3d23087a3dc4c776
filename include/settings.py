"""Locations: where this machine keeps things. Read from the environment when needed, never at import."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.storage import Store

REPOSITORY = Path(__file__).parents[1]
# In a container a file `windhover_ledger_uri` stands for the variable, which the engine would tell anybody.
MOUNTED_SECRETS = Path("/run/secrets")


class Settings(BaseSettings):
    """Every location has a `WINDHOVER_…` variable; unset ones lie below one home folder."""

    model_config = SettingsConfigDict(env_prefix="WINDHOVER_", frozen=True)

    home: Path = Field(default=REPOSITORY / ".windhover", description="All state of the embedded stack.")
    projects: Path = Field(default=REPOSITORY / "include" / "projects", description="Folder of project files.")
    store: str = Field(default="", description="Store URI; `<home>/store` unless set.")
    landing: str = Field(
        default="", description="Drop folders of all projects, a path or URI; `<home>/landing` unless set."
    )
    mlflow_uri: str = Field(default="http://127.0.0.1:5500", description="MLflow server.")
    serving_uri: str = Field(default="http://127.0.0.1:8090", description="Serving process.")
    airflow_uri: str = Field(default="http://127.0.0.1:8080", description="Airflow's API server.")
    mlflow_public: str = Field(default="", description="MLflow as a browser reaches it; `mlflow_uri` unless set.")
    serving_public: str = Field(default="", description="Serving as a browser reaches it; `serving_uri` unless set.")
    airflow_public: str = Field(default="", description="Airflow as a browser reaches it, for links in notifications.")
    serving_token: str = Field(default="", repr=False, description="Token that serving asks for; none unless set.")
    ledger_uri: str = Field(default="", description="SQLAlchemy URL of the ledger, for work outside Airflow.")
    notify_urls: str = Field(
        default="", repr=False, description="Channels for notifications: Apprise's text format, one URL a line."
    )
    target: Literal["process", "docker"] = Field(default="process", description="Where releases are served.")
    serving_replicas: int = Field(default=2, ge=1, le=16, description="Serving processes of one set.")
    releases: str = Field(default="", description="Folder of releases that a container's image brings along.")

    @property
    def store_uri(self) -> str:
        """URI of the store."""
        return self.store or str(self.home / "store")

    @property
    def landing_uri(self) -> str:
        """Path or object store URI that holds one drop folder per project."""
        return self.landing or str(self.home / "landing")

    @property
    def mlflow_page(self) -> str:
        """MLflow's address for people."""
        return (self.mlflow_public or self.mlflow_uri).rstrip("/")

    @property
    def serving_page(self) -> str:
        """The serving process's address for people."""
        return (self.serving_public or self.serving_uri).rstrip("/")

    @property
    def airflow_page(self) -> str:
        """Airflow's address for people; nothing unless set, because a notification is read on another machine."""
        return self.airflow_public.rstrip("/")

    def open_store(self) -> Store:
        """Open the store every stage of this machine shares."""
        return Store(self.store_uri)


def load_settings() -> Settings:
    """Read the environment now; a test or a task sees what is set at that moment."""
    return Settings(_secrets_dir=MOUNTED_SECRETS) if MOUNTED_SECRETS.is_dir() else Settings()
