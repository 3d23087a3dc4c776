"""What the pages read from: the project files, the store and the ledger of this machine."""

from typing import TYPE_CHECKING

from include.errors import ServiceUnavailableError
from include.project import Project, load_project
from include.settings import load_settings

if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.storage import Store


def read_project(name: str) -> Project:
    """Read one project file.

    :raises ProjectFileError: there is none of that name, or it is not valid.
    """
    return load_project(load_settings().projects / f"{name}.yaml")


def open_store() -> "Store":
    """Open the store of this machine."""
    return load_settings().open_store()


def open_ledger() -> "Ledger":
    """Open the ledger by its Airflow connection.

    :raises ServiceUnavailableError: Airflow has no such connection.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    from windhover.hooks.ledger import LedgerHook

    try:
        return LedgerHook().open_ledger()
    except AirflowNotFoundException as error:
        raise ServiceUnavailableError(f"{error}; see airflow_settings.yaml") from error
