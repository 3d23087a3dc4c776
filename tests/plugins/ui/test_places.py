import pytest

from include.errors import ProjectFileError, ServiceUnavailableError
from windhover.ui.places import open_ledger, open_store, read_project


def test_places_are_those_of_the_machine(machine, ledger_connection):
    assert str(open_store().root) == str(machine / "store")
    assert open_ledger().url == ledger_connection.url
    assert read_project("digits").name == "digits"


def test_a_project_that_is_not_there_is_said():
    with pytest.raises(ProjectFileError, match="plankton"):
        read_project("plankton")


def test_without_the_connection_it_is_named(machine, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WINDHOVER_LEDGER")
    with pytest.raises(ServiceUnavailableError, match="windhover_ledger"):
        open_ledger()
