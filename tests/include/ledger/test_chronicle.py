from include.ledger.audit import record_entry
from include.ledger.chronicle import list_entries


def test_entries_come_newest_first_and_a_page_at_a_time(ledger):
    for number in range(1, 6):
        record_entry(ledger, "digits", "override", f"deed {number}", who="ada", why="because", number=number)
    record_entry(ledger, "parts", "override", "another", who="bea", why="because")
    newest = list_entries(ledger, "digits", 3)
    assert [(one.sequence, one.subject, one.payload) for one in newest[:1]] == [(5, "deed 5", {"number": 5})]
    assert [one.sequence for one in newest] == [5, 4, 3]
    assert [one.sequence for one in list_entries(ledger, "digits", 3, before=3)] == [2, 1]
    assert list_entries(ledger, "plankton", 3) == []


def test_damaged_entries_are_read_all_the_same(ledger):
    record_entry(ledger, "digits", "override", "deed", who="ada", why="because")
    with ledger.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("UPDATE audit_entries SET kind = 'nonsense', payload = '[1]'")
    [one] = list_entries(ledger, "digits", 3)
    assert (one.kind, one.payload) == ("nonsense", {})
