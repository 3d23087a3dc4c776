import pytest
from airflow.exceptions import AirflowNotFoundException

from include.ledger.episodes import find_open_episode, open_episode
from tests.plugins.samples import DRIFT
from windhover.hooks.ledger import LedgerHook


def test_opens_the_ledger_its_connection_names(ledger_connection):
    open_episode(ledger_connection, DRIFT)
    assert find_open_episode(LedgerHook().open_ledger(), "digits").drift == DRIFT


def test_a_password_with_every_special_character_arrives(machine, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", "postgres://wind%40hover:p%40ss%2F%3A%25word@10.0.0.1:5433/ledger")
    url = LedgerHook("theirs").open_ledger().url
    assert (url.username, url.password) == ("wind@hover", "p@ss/:%word")
    assert (url.host, url.port, url.database) == ("10.0.0.1", 5433, "ledger")


def test_a_connection_that_is_missing_is_named():
    with pytest.raises(AirflowNotFoundException, match="windhover_nowhere"):
        LedgerHook("windhover_nowhere").open_ledger()
