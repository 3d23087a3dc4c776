from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import RolloutReport
from include.errors import RolloutFailedError
from tests.plugins.samples import HEALTHY, ROLLOUT, UNHEALTHY
from tests.plugins.task_runs import run_task
from windhover.triggers.deployment import RolloutTrigger

ENDPOINT = {"_link_endpoint": "http://serving.example"}


@pytest.fixture
def judge(load_dag, machine, api_server):
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json")

    def run(**resumed):
        return run_task(api_server, load_dag("deploy_model"), "judge_rollout", **resumed)

    return run


def test_a_healthy_release_passes_at_once(judge, stages, api_server):
    stages.replace("include.deployment.rollout.judge_rollout", HEALTHY)
    outcome = judge()
    assert outcome.state == "success"
    assert RolloutReport.model_validate(api_server.returned["judge_rollout"]) == HEALTHY
    assert outcome.links == ENDPOINT


def test_an_unhealthy_release_fails_for_good_with_every_reason_and_its_link(judge, stages, api_server):
    stages.replace("include.deployment.rollout.judge_rollout", UNHEALTHY)
    outcome = judge()
    assert outcome.state == "failed"
    assert isinstance(outcome.error, RolloutFailedError)
    assert "golden image 3 differs; by 0.2" in str(outcome.error)
    assert outcome.links == ENDPOINT
    assert "judge_rollout" not in api_server.returned


def test_too_early_to_tell_waits_until_the_projects_deadline(judge, project):
    before = datetime.now(UTC)
    outcome = judge()
    assert outcome.state == "deferred"
    trigger = RolloutTrigger(**outcome.message.trigger_kwargs)
    assert (trigger.rollout, trigger.serving_uri) == (ROLLOUT.model_dump(mode="json"), "http://127.0.0.1:9")
    allowed = timedelta(seconds=project.deployment.ready_seconds)
    assert before + allowed <= datetime.fromisoformat(trigger.deadline) <= datetime.now(UTC) + allowed


@pytest.mark.parametrize(("report", "state"), [(HEALTHY, "success"), (UNHEALTHY, "failed")])
def test_the_triggers_event_is_ruled_on_alike(judge, report, state):
    outcome = judge(next_method="rule", next_kwargs={"event": report.model_dump(mode="json")})
    assert outcome.state == state
    assert outcome.links == ENDPOINT


def test_a_trigger_that_died_is_tried_again(judge):
    outcome = judge(next_method="__fail__", next_kwargs={"error": "Trigger failure"})
    assert outcome.state == "up_for_retry"
