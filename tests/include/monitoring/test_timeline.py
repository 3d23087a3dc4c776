"""A changed project file and changed code become suspects of the next incident."""

from include.ledger.incidents import add_note, find_incident, open_incident
from include.monitoring.timeline import digest_sources, list_suspects, watch_changes

TOLD = {"kind": "failed_task", "key": "k", "title": "t", "impact": "low", "urgency": "low", "runbook": "r"}


def test_looking_twice_without_a_change_tells_nothing(ledger, project):
    watch_changes([project], ledger)
    watch_changes([project], ledger)
    assert list_suspects(find_incident(ledger, open_incident(ledger, project.name, **TOLD))) == []


def test_a_changed_project_file_is_suspected(ledger, project):
    watch_changes([project], ledger)
    watch_changes([project.model_copy(update={"owner": "somebody"})], ledger)
    number = open_incident(ledger, project.name, **TOLD)
    add_note(ledger, number, who="ann", what="suspect everybody")
    (event,) = list_suspects(find_incident(ledger, number))
    assert event.what == f'suspect 1: configuration, 0 min before: owner "{project.owner}" → "somebody"'


def test_suspects_are_in_their_order_also_beyond_nine(ledger, project):
    for owner in range(12):
        watch_changes([project.model_copy(update={"owner": f"{owner}"})], ledger)
    suspects = list_suspects(find_incident(ledger, open_incident(ledger, project.name, **TOLD)))
    assert [event.what.split(":")[0] for event in suspects] == [f"suspect {rank}" for rank in range(1, 11)]


def test_the_digest_of_the_code_is_short_and_the_same_again():
    assert digest_sources() == digest_sources()
    assert len(digest_sources()) == 12
