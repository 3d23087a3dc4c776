from datetime import UTC, datetime, timedelta

from include.contracts import RolloutReport
from tests.plugins.samples import HEALTHY, ROLLOUT
from tests.plugins.triggers.firing import fire
from windhover.triggers.deployment import RolloutTrigger


def make_trigger(deadline):
    return RolloutTrigger(ROLLOUT.model_dump(mode="json"), "http://127.0.0.1:9", deadline.isoformat(), 0.01)


def test_asks_until_the_serving_process_has_decided(stages):
    answers = [None, None, HEALTHY]
    calls = stages.replace("include.deployment.rollout.judge_rollout", lambda *_: answers.pop(0))
    deadline = datetime.now(UTC) + timedelta(minutes=1)

    payload = fire(make_trigger(deadline))

    assert RolloutReport.model_validate(payload) == HEALTHY
    assert len(calls) == 3
    assert calls[0] == {"rollout": ROLLOUT, "serving_uri": "http://127.0.0.1:9", "deadline": deadline}


def test_a_serving_process_that_never_answers_is_unhealthy_at_the_deadline():
    report = RolloutReport.model_validate(fire(make_trigger(datetime.now(UTC) + timedelta(seconds=0.1))))
    assert report.verdict == "unhealthy"
    assert "does not answer" in report.reasons[0]
