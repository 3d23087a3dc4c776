from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import comms

from include.contracts import NONE_OF_THESE
from include.ledger.episodes import (
    answer_episode,
    find_episode,
    find_unclosed_episode,
    open_episode,
    release_episode,
)
from tests.plugins.samples import DECISION, DRIFT, PERFORMANCE
from tests.plugins.task_runs import make_run, run_task

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
RUN = make_run("digits.monitor_model").run_id
FOUND = SimpleNamespace(labelled=2, none=1, wrong=0)
CHOSEN = SimpleNamespace(page="digits/reports/relabelling/7-1/index.html", requests=("first", "second"))


@pytest.fixture
def told(stages):
    """What is reported to the owner."""
    return stages.replace("include.monitoring.relabelling.report_labels", 5)


@pytest.fixture
def ask(load_dag, api_server, ledger_connection, stages, told):
    """Run the task for an open episode; `answer` resumes it as the scheduler does."""
    dag, number = load_dag("monitor_model"), open_episode(ledger_connection, DRIFT)
    chosen = stages.replace("include.monitoring.relabelling.choose_images", CHOSEN)
    recorded = stages.replace("include.monitoring.relabelling.record_labels", FOUND)

    def run(action="relabel", answer=None):
        decision = DECISION.model_copy(update={"episode": number, "action": action, "relabel": 2})
        reports = {"decide_action": decision, "wait_for_drift": find_episode(ledger_connection, number)}
        for task, report in {**reports, "detect_drift": DRIFT, "measure_performance": PERFORMANCE}.items():
            api_server.returned[task] = report.model_dump(mode="json")
        resumed = {"next_method": "execute_complete", "next_kwargs": {"event": answer}} if answer else {}
        outcome = run_task(api_server, dag, "relabel_images", **resumed)
        return outcome, find_episode(ledger_connection, number), chosen, recorded

    return run


def answer_with(option, **labels):
    person = {"id": "ada", "name": "ada"}
    return {"chosen_options": [option], "params_input": labels, "responded_at": AT, "responded_by_user": person}


@pytest.mark.parametrize("action", ["retrain", "fix_source", "ignore"])
def test_nobody_is_asked_unless_labels_are_wanted(ask, action):
    outcome, _, chosen, _ = ask(action)
    assert (outcome.state, chosen) == ("skipped", [])


def test_each_image_is_a_field_with_the_classes_to_choose_from(ask, api_server, project):
    outcome, _, chosen, _ = ask()
    assert outcome.state == "awaiting_input"
    assert outcome.message.timeout == timedelta(hours=project.monitoring.actions.relabel_hours)
    assert (chosen[0]["drift"], chosen[0]["count"]) == (DRIFT, 2)
    [asked] = [message for message in api_server.messages if isinstance(message, comms.CreateHITLDetailPayload)]
    assert [(name, field["schema"]["title"]) for name, field in asked.params.items()] == [
        ("first", "Image 1"), ("second", "Image 2"),
    ]  # fmt: skip
    assert asked.params["first"]["schema"]["enum"] == [None, *project.classes, NONE_OF_THESE]
    assert CHOSEN.page in asked.body
    assert outcome.links == {"_link_contact_sheet": f"/windhover/reports/{CHOSEN.page}"}


def test_labels_are_kept_and_answer_the_episode(ask, api_server, told):
    ask()
    outcome, episode, _, recorded = ask(answer=answer_with("Labelled", first="7", second=None, third=NONE_OF_THESE))
    assert outcome.state == "success"
    assert (recorded[0]["said"], recorded[0]["drift"]) == ({"first": "7", "third": NONE_OF_THESE}, DRIFT)
    assert api_server.returned["relabel_images"] == {"labelled": 2, "none": 1, "wrong": 0, "by": "ada"}
    assert (told[0]["found"], told[0]["shown"], told[0]["episode"]) == (FOUND, 3, episode.id)
    assert episode.state == "requested"


def test_nobody_is_asked_twice(ask, ledger_connection):
    assert ask()[1].state == "requested"
    assert ask()[0].state == "awaiting_input"
    release_episode(ledger_connection, find_unclosed_episode(ledger_connection, "digits").id, RUN)
    assert answer_episode(ledger_connection, find_unclosed_episode(ledger_connection, "digits").id, "another run")
    assert ask()[0].state == "skipped"


def test_who_has_no_time_leaves_the_episode_open(ask):
    ask()
    outcome, episode, _, recorded = ask(answer=answer_with("Not now"))
    assert (outcome.state, episode.state, recorded) == ("skipped", "open", [])
