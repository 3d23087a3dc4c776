import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.ledger.audit import head_address, record_entry, seal_chain
from include.ledger.models import move_alias
from include.settings import load_settings

DAY = "2026-11-02"


@pytest.fixture
def store(machine):
    return load_settings().open_store()


def test_says_who_made_which_version_champion(machine, invoke, ledger, store):
    for before, version, who in ((None, 1, "run 1"), (1, 2, "run 2")):
        move_alias(ledger, machine.project, "champion", expected=before, version=version, reason="healthy", who=who)
    seal_chain(ledger, machine.project, store)
    report = json.loads(invoke("audit", "--json").stdout)
    assert (report["champion"], report["entries"], report["sealed"]) == (2, 2, 2)
    assert (report["moved"]["who"], report["moved"]["why"]) == ("run 2", "healthy")
    first, second = (datetime.fromisoformat(entry["at"]) for entry in report["recent"])
    between = (first + (second - first) / 2).replace(tzinfo=None).isoformat(timespec="seconds")
    before = (first - timedelta(seconds=2)).replace(tzinfo=None).isoformat(timespec="seconds")
    assert json.loads(invoke("audit", "--at", before, "--json").stdout)["champion"] is None
    with ledger.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("UPDATE audit_entries SET at = at + interval '1 hour' WHERE sequence = 2"))
    ended = invoke("audit", "--at", between)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "broken at entry 2: it was changed" in ended.stderr


def test_champion_at_a_moment(machine, invoke, ledger, store):
    move_alias(ledger, machine.project, "champion", expected=None, version=1, reason="healthy")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    assert json.loads(invoke("audit", "--at", tomorrow, "--json").stdout)["champion"] == 1
    assert json.loads(invoke("audit", "--at", "2020-01-01", "--json").stdout)["champion"] is None


def test_a_cut_chain_is_bad_input(machine, invoke, ledger, store):
    record_entry(ledger, machine.project, "override", "x", who="Someone", why="y")
    seal_chain(ledger, machine.project, store)
    with ledger.begin() as connection:
        connection.execute(sa.text("TRUNCATE audit_entries"))
    ended = invoke("audit")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "broken at entry 1: it was sealed, and is missing; see docs/runbook.md" in ended.stderr
    assert store.exists(head_address(machine.project))


def test_a_version_that_was_never_certified(machine, invoke):
    ended = invoke("verify", "--model", "3")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "has no certificate of version 3" in ended.stderr


@pytest.mark.timeout(300)
def test_verifies_a_model_that_went_all_the_way(machine, invoke, store, monkeypatch, mlflow_uri):
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    machine.deliver(DAY, images=300)
    for verb in (["ingest", "--day", DAY], ["train"], ["decide"], ["register"], ["package"]):
        ended = invoke(*verb)
        assert ended.exit_code == 0, ended.stderr
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("WINDHOVER_LEDGER_URI", "")
    report = json.loads(invoke("verify", "--model", "1", "--json").stdout)
    assert (report["valid"], report["verdict"]) == (True, "promote")
    (answers,) = store.list(f"{machine.project}/evaluations", "*.parquet")
    store.remove(answers)
    ended = invoke("verify", "--model", "1")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "does not verify: answers:" in ended.stderr
