"""Airflow in an empty home, and the parts around a task."""

import pytest

from tests.plugins.fixtures import api_server, ledger_connection, load_dag, machine, stages, tracking

__all__ = ["api_server", "ledger_connection", "load_dag", "machine", "stages", "tracking"]


@pytest.fixture(scope="session")
def project(shipped_project):
    """Give the project that the DAGs here were made of."""
    return shipped_project
