from datetime import UTC, datetime, timedelta

import pytest

from include.errors import ProjectFileError
from include.ledger.audit import head_address, record_entry
from tests.include.certified import certify, crown
from windhover.ui.audit import SHOWN, render_audit, render_audits


@pytest.fixture
def show(machine, project, store, ledger):
    return lambda **how: render_audit(project, store, ledger, **how)


def test_entries_stand_newest_first_with_who_and_why(show, store, ledger):
    certify(1, store, ledger)
    crown(1, ledger, who="ada")
    record_entry(ledger, "digits", "override", "rollback", who="bea", why="<script>alert(1)</script>")
    page = show()
    assert ">verified</span> 4 entries, 2 of them sealed" in page
    assert page.index("&lt;script&gt;") < page.index("<td>ada</td>") < page.index("/dags/digits.promote_model/runs/1")
    assert "<script" not in page
    assert '<span class="verdict released">override</span>' in page


def test_the_champion_of_a_moment_is_named_with_who_made_it_so(show, store, ledger):
    certify(1, store, ledger)
    certify(2, store, ledger)
    crown(1, ledger, who="ada")
    between = datetime.now(UTC)
    crown(2, ledger, before=1, who="bea")
    assert "version 2</a>, made so on" in show()
    assert "by bea: it came up" in show()
    assert "version 1</a>, made so on" in show(at=between)
    assert "by ada: it came up" in show(at=between.astimezone(tz=None))
    assert "There was no champion." in show(at=between - timedelta(days=1))


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ("UPDATE audit_entries SET who = 'eve' WHERE sequence = 2", "entry 2: it was changed"),
        ("UPDATE audit_entries SET kind = 'nonsense' WHERE sequence = 2", "an entry that is none"),
        ("UPDATE audit_entries SET payload = '[]' WHERE sequence = 2", "an entry that is none"),
        ("DELETE FROM audit_entries WHERE sequence = 1", "entry 1: it is missing"),
        ("DELETE FROM audit_entries WHERE sequence > 1", "it was sealed, and is missing"),
    ],
)
def test_a_broken_chain_is_said_and_still_shown_and_answers_nothing(show, store, ledger, damage, where):
    certify(1, store, ledger)
    crown(1, ledger)
    with ledger.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(damage)
    page = show()
    assert ">broken</span>" in page
    assert where in page
    assert "A broken chain answers nothing." in page
    assert "made so on" not in page
    assert "/dags/digits.promote_model/runs/1" in page


def test_a_forged_head_is_a_broken_chain(show, store, ledger):
    certify(1, store, ledger)
    store.write(head_address("digits"), b"{}")
    assert ">broken</span>" in show()


def test_a_long_chain_is_shown_a_page_at_a_time(show, store, ledger):
    for number in range(1, SHOWN + 3):
        record_entry(ledger, "digits", "override", "try", who="ada", why=f"reason {number}.")
    first = show()
    assert first.count("<td>ada</td>") == SHOWN
    assert "reason 2." not in first
    assert '?before=3">older entries' in first
    last = show(before=3)
    assert last.count("<td>ada</td>") == 2
    assert "older entries" not in last
    assert ">newest</a>" in last


def test_nothing_happened_yet(show):
    page = show()
    assert "Nothing was registered, judged or moved yet." in page
    assert "There was no champion." in page


def test_every_project_has_its_verdict_and_one_broken_chain_hides_no_other(machine, project, store, ledger):
    certify(1, store, ledger)
    store.write(head_address("digits"), b"{}")
    other = project.model_copy(update={"name": "plankton", "title": "Plankton"})
    page = render_audits([project, other], [ProjectFileError("x.yaml: clases: unknown key")], store, ledger)
    assert page.count(">broken</span>") == page.count(">verified</span>") == 1
    assert "x.yaml: clases" in page
