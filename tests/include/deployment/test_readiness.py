from datetime import UTC, datetime

import pytest

from include.contracts import ReleasePlan, ReplicaReport, RolloutRef
from include.deployment.readiness import judge_readiness, list_behind
from include.project import DeploymentPolicy

POLICY = DeploymentPolicy(ready_seconds=60)


@pytest.fixture
def plan(release_of):
    return ReleasePlan(project="digits", revision=7, champion=release_of(1), candidate=release_of(2), rollout=3)


def replica(name, revision, plan=None, rejected=()):
    held = [release.digest for release in plan.releases] if plan else []
    revisions = {} if revision is None else {"digits": revision}
    return ReplicaReport(
        name=name,
        address="/run/serving.sock",
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        revisions=revisions,
        held={"digits": tuple(held)},
        rejected={"digits": dict(rejected)},
        source="ledger",
    )


def judge(plan, replicas, seconds):
    rollout = RolloutRef(id=3, release=plan.candidate, strategy="canary")
    return judge_readiness(rollout, POLICY, plan, replicas, seconds)


def test_ready_once_every_live_process_follows(plan):
    report = judge(plan, [replica("a", 7, plan), replica("b", 8)], 1)
    assert (report.verdict, report.metrics[0].verdict) == ("promote", "safe")
    assert report.reasons == ("2 of 2 serving processes hold version 2",)


@pytest.mark.parametrize(("late", "said"), [(6, "revision 6"), (None, "no revision")])
def test_waits_for_the_last_one_until_the_time_is_up(plan, late, said):
    replicas = [replica("a", 7, plan), replica("b", late)]
    assert judge(plan, replicas, 59.9).verdict == "continue"
    report = judge(plan, replicas, 60)
    assert (report.verdict, report.metrics[0].verdict) == ("roll_back", "harm")
    assert f"b follows {said} of the plan, not 7" in report.reasons[0]
    assert "1 of 2" in report.metrics[0].seen


def test_without_any_process_nothing_is_ready(plan):
    assert judge(plan, [], 1).verdict == "continue"
    report = judge(plan, [], 61)
    assert report.verdict == "roll_back"
    assert "no serving process reports" in report.reasons[0]


def test_a_rejection_ends_it_once_it_cannot_be_of_an_earlier_attempt(plan):
    replicas = [
        replica("a", 7, plan),
        replica("b", 6, rejected={plan.candidate.digest: "golden image 3 is off"}.items()),
    ]
    assert judge(plan, replicas, 1).verdict == "continue"
    report = judge(plan, replicas, 4)
    assert report.verdict == "roll_back"
    assert "golden image 3 is off" in report.reasons[0]


def test_a_process_that_follows_without_the_candidate_is_not_ready(plan):
    alone = plan.model_copy(update={"candidate": None})
    report = judge(plan, [replica("a", 7, alone)], 1)
    assert report.verdict == "continue"
    assert report.reasons == (f"a does not hold {plan.candidate.digest}",)


def test_the_release_before_may_be_gone(plan, release_of):
    before = release_of(9)
    held = plan.model_copy(update={"previous": before})
    assert judge(held, [replica("a", 7, plan, {before.digest: "gone"}.items())], 4).verdict == "promote"


def test_a_rejection_of_what_the_plan_does_not_name_means_nothing(plan, release_of):
    rejected = {release_of(9).digest: "an old story"}.items()
    assert judge(plan, [replica("a", 7, plan, rejected)], 4).verdict == "promote"
    assert judge(plan, [replica("a", 6, plan, rejected)], 4).verdict == "continue"
    assert list_behind(plan, [replica("a", 6, plan, rejected)]) == ("a follows revision 6 of the plan, not 7",)
