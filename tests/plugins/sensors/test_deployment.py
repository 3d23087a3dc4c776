import pytest

from include.contracts import RolloutReport
from include.errors import RolloutFailedError
from tests.plugins.samples import HARM, PROMOTED, ROLLOUT
from tests.plugins.task_runs import run_task
from windhover.triggers.deployment import RolloutTrigger

LINKS = {"_link_endpoint": "http://serving.example", "_link_rollouts": "/windhover/rollouts/digits"}


@pytest.fixture
def judge(load_dag, machine, api_server, stages):
    """Give a function that runs judge_rollout, after one look with a result."""
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json")

    def run(seen=None, **resumed):
        stages.replace("include.deployment.rollout.open_evidence", "reader")
        looks = stages.replace("include.deployment.rollout.watch_rollout", seen)
        outcome = run_task(api_server, load_dag("deploy_model"), "judge_rollout", **resumed)
        assert all(look["rollout"] == ROLLOUT and look["reader"] == "reader" for look in looks)
        return outcome

    return run


def test_a_release_that_proved_itself_passes_at_once(judge, api_server):
    outcome = judge(PROMOTED)
    assert outcome.state == "success"
    assert RolloutReport.model_validate(api_server.returned["judge_rollout"]) == PROMOTED
    assert outcome.links == LINKS


@pytest.mark.parametrize("verdict", ["roll_back", "not_enough_evidence"])
def test_any_other_verdict_fails_for_good_with_every_reason_and_its_links(judge, api_server, verdict):
    outcome = judge(HARM.model_copy(update={"verdict": verdict}))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, RolloutFailedError)
    assert "golden image 3 differs; by 0.2" in str(outcome.error)
    assert outcome.links == LINKS
    assert "judge_rollout" not in api_server.returned


def test_too_early_to_tell_waits_without_a_worker_and_shows_where_to_look(judge):
    outcome = judge(None)
    assert outcome.state == "deferred"
    trigger = RolloutTrigger(**outcome.message.trigger_kwargs)
    assert (trigger.rollout, trigger.poke_interval) == (ROLLOUT.model_dump(mode="json"), 1)
    assert outcome.links == LINKS


@pytest.mark.parametrize(("report", "state"), [(PROMOTED, "success"), (HARM, "failed")])
def test_the_triggers_event_is_ruled_on_alike(judge, report, state):
    outcome = judge(next_method="rule", next_kwargs={"event": report.model_dump(mode="json")})
    assert outcome.state == state
    assert outcome.links == LINKS


def test_a_trigger_that_died_is_tried_again(judge):
    outcome = judge(next_method="__fail__", next_kwargs={"error": "Trigger failure"})
    assert outcome.state == "up_for_retry"


def test_a_ledger_that_does_not_answer_is_asked_again(load_dag, machine, api_server):
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json")
    assert run_task(api_server, load_dag("deploy_model"), "judge_rollout").state == "up_for_retry"
