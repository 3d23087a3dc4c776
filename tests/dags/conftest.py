"""Airflow in an empty home, and the parts around a task."""

from tests.plugins.fixtures import api_server, ledger_connection, load_dag, machine, stages, tracking

__all__ = ["api_server", "ledger_connection", "load_dag", "machine", "stages", "tracking"]
