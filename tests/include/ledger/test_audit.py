import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from include.contracts import ModelVersionRef
from include.errors import ContractViolationError, StaleAttemptError
from include.ledger.audit import find_head, head_address, name_user, record_entry, seal_chain, verify_chain
from include.ledger.models import find_alias, move_alias, record_decision, record_model_version
from include.ledger.quality import record_release
from include.settings import REPOSITORY
from include.storage.signing import canonical_json, trust_address


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDHOVER_HOME", str(tmp_path / "home"))


@pytest.fixture
def chain(ledger, store, make_model, make_decision):
    """Six entries of all kinds, the first one sealed, as registering does."""
    record_decision(ledger, make_decision(), who="run decide")
    seal_chain(ledger, "digits", store)
    record_model_version(ledger, ModelVersionRef(model=make_model(), version=1, accuracy=0.9), who="run register")
    move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first", who="run deploy")
    move_alias(ledger, "digits", "champion", expected=1, version=2, reason="better", who="run deploy")
    record_release(ledger, "digits", "2026-03-01", "staged", "Someone", "looked at it")
    record_entry(ledger, "digits", "approval", "version 2", who="Someone", why="evidence is good", version=2)


@pytest.fixture
def forge(ledger):
    """Do to the table what its trigger refuses, as whoever owns the database can."""

    def run(statement, **values):
        with ledger.begin() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            assert connection.execute(sa.text(statement), values).rowcount > 0

    return run


def test_every_deed_is_on_the_chain_with_who_and_why(ledger, store, chain):
    seal_chain(ledger, "digits", store)
    entries, sealed = verify_chain(ledger, "digits", store)
    assert [entry.sequence for entry in entries] == list(range(1, 7))
    assert sealed == 6
    assert [entry.kind for entry in entries] == ["verdict", "registration", "alias", "alias", "override", "approval"]
    assert [entry.who for entry in entries] == ["run decide", *["run register"], *["run deploy"] * 2, *["Someone"] * 2]
    assert (entries[3].why, entries[3].payload) == (
        "better",
        {"alias": "champion", "move": 2, "version": 2, "before": 1},
    )
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert entries[0].previous == ""
    assert all(after.previous == before.hash for before, after in pairwise(entries))


def test_what_changes_nothing_leaves_no_entry(ledger, store, make_model):
    seal_chain(ledger, "digits", store)
    for _ in range(2):
        record_model_version(ledger, ModelVersionRef(model=make_model(), version=1, accuracy=0.9))
        record_release(ledger, "digits", "2026-03-01", "staged", "Someone", "looked at it")
        move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")
    with pytest.raises(StaleAttemptError):
        move_alias(ledger, "digits", "champion", expected=7, version=3, reason="late")
    seal_chain(ledger, "digits", store)
    entries, _ = verify_chain(ledger, "digits", store)
    assert [entry.kind for entry in entries] == ["registration", "override", "alias"]
    assert entries[0].who == name_user()


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def fail():
        raise KeyError

    monkeypatch.setattr("getpass.getuser", fail)
    assert name_user() == f"user {os.getuid()}"


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET why = ''", "DELETE FROM audit_entries"])
def test_the_database_refuses_to_change_the_past(ledger, store, chain, statement):
    with pytest.raises(DBAPIError, match="audit_entries is append-only"), ledger.begin() as connection:
        connection.execute(sa.text(statement))
    seal_chain(ledger, "digits", store)
    assert len(verify_chain(ledger, "digits", store)[0]) == 6


@pytest.mark.parametrize("column", ["at", "kind", "subject", "who", "why", "payload", "previous", "hash", "project"])
@pytest.mark.parametrize("sequence", [1, 3, 6])
def test_an_edited_entry_is_found(ledger, store, chain, forge, column, sequence):
    seal_chain(ledger, "digits", store)
    value = {
        "at": "'2020-01-01'",
        "kind": "'approval'" if sequence != 6 else "'override'",
        "payload": "'{}'",
        "hash": "'sha256:' || repeat('0', 64)",
    }.get(column, "'other'")
    forge(f"UPDATE audit_entries SET {column} = {value} WHERE sequence = {sequence}")  # noqa: S608 - our own words
    with pytest.raises(
        ContractViolationError, match=rf"digits is broken at entry [{sequence}{sequence + 1}]: .*runbook"
    ):
        verify_chain(ledger, "digits", store)


@pytest.mark.parametrize("sequence", range(1, 7))
def test_a_removed_entry_is_found(ledger, store, chain, forge, sequence):
    seal_chain(ledger, "digits", store)
    forge("DELETE FROM audit_entries WHERE sequence = :sequence", sequence=sequence)
    with pytest.raises(ContractViolationError, match=f"broken at entry {sequence}"):
        verify_chain(ledger, "digits", store)


@pytest.mark.parametrize("sequence", range(1, 6))
def test_swapped_entries_are_found(ledger, store, chain, forge, sequence):
    seal_chain(ledger, "digits", store)
    for old, new in ((sequence, 99), (sequence + 1, sequence), (99, sequence + 1)):
        forge("UPDATE audit_entries SET sequence = :new WHERE sequence = :old", old=old, new=new)
    with pytest.raises(ContractViolationError, match=f"broken at entry {sequence}"):
        verify_chain(ledger, "digits", store)


@pytest.mark.parametrize("left", range(6))
def test_a_cut_tail_is_found_and_never_sealed_over(ledger, store, chain, forge, left):
    seal_chain(ledger, "digits", store)
    forge("DELETE FROM audit_entries WHERE sequence > :left", left=left)
    record_entry(ledger, "digits", "override", "grown again", who="forger", why="to hide the cut")
    for look in (verify_chain, seal_chain):
        with pytest.raises(ContractViolationError, match="broken at entry"):
            look(ledger, "digits", store)


def test_a_chain_written_anew_is_found(ledger, store, chain, forge):
    """Whoever owns the database can compute every hash again, yet not sign them."""
    seal_chain(ledger, "digits", store)
    forge("DELETE FROM audit_entries")
    for _ in range(6):
        record_entry(ledger, "digits", "approval", "version 2", who="forger", why="a history that was not")
    with pytest.raises(ContractViolationError, match="entry 6: it is not the entry that was sealed"):
        verify_chain(ledger, "digits", store)


def test_a_champion_changed_behind_the_chain_is_found(ledger, store, chain, forge):
    seal_chain(ledger, "digits", store)
    forge("UPDATE alias_moves SET version = 9 WHERE sequence = 2")
    with pytest.raises(ContractViolationError, match="entry 4: the ledger has version 9 for this move of 'champion'"):
        verify_chain(ledger, "digits", store)


def test_a_champion_added_beside_the_chain_is_found(ledger, store, chain, forge):
    forge("INSERT INTO alias_moves VALUES ('digits', 'champion', 3, 9, 'unseen', now())")
    seal_chain(ledger, "digits", store)
    with pytest.raises(ContractViolationError, match="move 3 of alias 'champion' to version 9 is on no entry"):
        verify_chain(ledger, "digits", store)


def test_a_removed_head_is_found(ledger, store, chain):
    seal_chain(ledger, "digits", store)
    store.remove(head_address("digits"))
    with pytest.raises(ContractViolationError, match=r"entry 2: digits/audit/head\.json, .* is gone"):
        verify_chain(ledger, "digits", store)


def test_a_forged_head_is_found(ledger, store, chain):
    seal_chain(ledger, "digits", store)
    head = json.loads(store.read(head_address("digits")))
    head["document"]["sequence"] = 1
    store.write(head_address("digits"), canonical_json(head))
    for look in (verify_chain, seal_chain):
        with pytest.raises(ContractViolationError, match="is void: changed after it was signed"):
            look(ledger, "digits", store)


def test_a_head_of_another_project_is_none(ledger, store, chain):
    record_entry(ledger, "parts", "override", "x", who="Someone", why="y")
    seal_chain(ledger, "parts", store)
    store.write(head_address("digits"), store.read(head_address("parts")))
    with pytest.raises(ContractViolationError, match="is that of parts"):
        verify_chain(ledger, "digits", store)


def test_a_head_whose_key_is_gone_is_void(ledger, store, chain):
    seal_chain(ledger, "digits", store)
    key = json.loads(store.read(head_address("digits")))["key"]
    store.remove(trust_address(key))
    with pytest.raises(ContractViolationError, match="nobody here trusts"):
        verify_chain(ledger, "digits", store)


def test_entries_after_the_head_are_not_sealed_yet(ledger, store, chain):
    seal_chain(ledger, "digits", store)
    record_entry(ledger, "digits", "override", "x", who="Someone", why="y")
    entries, sealed = verify_chain(ledger, "digits", store)
    assert (len(entries), sealed) == (7, 6)
    seal_chain(ledger, "digits", store)
    assert verify_chain(ledger, "digits", store)[1] == 7
    before = store.read(head_address("digits"))
    seal_chain(ledger, "digits", store)
    assert store.read(head_address("digits")) == before


def test_an_empty_chain_is_whole_and_needs_no_head(ledger, store):
    assert verify_chain(ledger, "digits", store) == ((), 0)
    assert find_head("digits", store) is None
    seal_chain(ledger, "digits", store)
    assert verify_chain(ledger, "digits", store) == ((), 0)


def test_an_empty_chain_is_sealed_so_that_nothing_can_be_all_that_is_left(ledger, store, make_model):
    seal_chain(ledger, "digits", store)
    record_model_version(ledger, ModelVersionRef(model=make_model(), version=1, accuracy=0.9))
    assert verify_chain(ledger, "digits", store)[1] == 0
    store.remove(head_address("digits"))
    with pytest.raises(ContractViolationError, match=r"entry 1: .* is gone"):
        verify_chain(ledger, "digits", store)


def test_projects_have_chains_of_their_own(ledger, store, chain):
    record_entry(ledger, "parts", "override", "x", who="Someone", why="y")
    (entry,), sealed = verify_chain(ledger, "parts", store)
    assert (entry.sequence, entry.previous, sealed) == (1, "", 0)


def test_entries_and_seals_at_once_make_one_chain(ledger, store):
    def work(number):
        record_entry(ledger, "digits", "override", f"subject {number}", who="Someone", why="a race")
        seal_chain(ledger, "digits", store)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    entries, sealed = verify_chain(ledger, "digits", store)
    assert sorted(entry.subject for entry in entries) == sorted(f"subject {number}" for number in range(40))
    assert sealed == 40


def test_a_deed_that_is_taken_back_leaves_no_entry(ledger, store, monkeypatch):
    """Entry and deed are one transaction."""
    monkeypatch.setattr("include.ledger.audit._hash", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")
    monkeypatch.undo()
    with ledger.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM alias_moves")).scalar_one() == 0
    assert verify_chain(ledger, "digits", store) == ((), 0)


PROMOTIONS = 60
PROMOTE = """
import random, sys
from include.errors import StaleAttemptError
from include.ledger import Ledger
from include.ledger.models import find_alias, move_alias
ledger, worker, rounds = Ledger(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for number in range(rounds):
    seen, wanted = find_alias(ledger, "digits", "champion"), random.Random(f"{worker} {number}").randrange(1, 30)
    try:
        move_alias(ledger, "digits", "champion", expected=seen, version=wanted, reason=f"{seen}", who=f"{worker}")
    except StaleAttemptError:
        continue
    if seen != wanted:
        print(seen, wanted)
"""


@pytest.mark.timeout(180)
def test_racing_promotions_equal_a_serial_history(ledger, ledger_uri, store):
    command = [sys.executable, "-c", PROMOTE, ledger_uri]
    racers = [
        subprocess.Popen([*command, str(worker), str(PROMOTIONS)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for worker in range(4)
    ]
    outputs = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    chain, _ = verify_chain(ledger, "digits", store)
    champion = None
    for entry in chain:
        assert (entry.payload["before"], entry.why) == (champion, str(champion)), "moved from where it was not"
        champion = entry.payload["version"]
    assert champion == find_alias(ledger, "digits", "champion")
    moved = sorted(line for output in outputs for line in output.splitlines())
    on_chain = sorted(f"{entry.payload['before']} {entry.payload['version']}" for entry in chain)
    assert set(on_chain) <= set(moved)
    assert len(chain) > PROMOTIONS
