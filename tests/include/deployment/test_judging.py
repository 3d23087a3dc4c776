import dataclasses
import json

import numpy as np
import pytest

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef, RolloutRef
from include.deployment.judging import judge
from include.deployment.sequential import Split
from include.deployment.tallies import RolloutCounts
from include.project import DeploymentPolicy, JudgePolicy
from include.storage import digest_bytes

POLICY = DeploymentPolicy(judge=JudgePolicy(max_disagreement=0.05))
DIGEST = digest_bytes(b"release")
DATASET = DatasetRef(project="p", address="p/images.lance", version=1, digest=DIGEST, images=9, labelled=9)
MODEL = ModelRef(project="p", key=DIGEST, run_id="run", weights=DIGEST, dataset=DATASET)
CERTIFIED = ModelVersionRef(model=MODEL, version=2, accuracy=0.9)
RELEASE = ReleaseRef(model=CERTIFIED, address="p/releases/2", digest=DIGEST, parity=0)
STEPS = {"canary": (4, 1.0), "blue_green": (1, 1.0), "shadow": (1, 0.0), "ab_test": (1, 0.5), "direct": (0, 0.0)}
EQUAL = np.full(400, 1.0)

HEALTHY = RolloutCounts(
    requests={0.0: 0, 0.05: 50, 0.5: 90, 1.0: 60},
    assigned=(Split(0.05, 50, 950), Split(0.5, 90, 88)),
    failed=(Split(0.05, 0, 3),),
    run=400, run_failed=1, compared=400, failed_alone=1, other_failed_alone=1, answered=398, differing=6,
    slowdowns=EQUAL,
)  # fmt: skip
BETTER = {"labelled": (Split(0.5, 400, 395),), "wrong": (Split(0.5, 10, 60),)}


def rule(strategy="canary", policy=POLICY, step=None, elapsed=5.0, **changes):
    rollout = RolloutRef(id=1, release=RELEASE, strategy=strategy)
    last, weight = STEPS[strategy]
    counts = dataclasses.replace(HEALTHY, **changes)
    return judge(counts, policy, rollout, last if step is None else step, weight, elapsed_minutes=elapsed)


def verdicts(report):
    return {metric.metric: metric.verdict for metric in report.metrics}


@pytest.mark.parametrize("strategy", STEPS)
def test_nothing_seen_promotes_nothing_but_what_has_nothing_to_compare_with(strategy):
    nothing = {field.name: getattr(RolloutCounts(), field.name) for field in dataclasses.fields(RolloutCounts)}
    early, late = (rule(strategy, elapsed=elapsed, **nothing) for elapsed in (59.0, 60.0))
    if strategy == "direct":
        assert (early.verdict, late.verdict, early.metrics) == ("promote", "promote", ())
        return
    assert (early.verdict, late.verdict) == ("continue", "not_enough_evidence")
    assert {metric.verdict for metric in early.metrics} == {"not_measured"}
    assert "0 of 100 comparisons" in early.reasons
    assert late.reasons[0] == "not enough evidence within 60 minutes"


@pytest.mark.parametrize("strategy", ["canary", "blue_green", "shadow"])
def test_a_healthy_release_is_promoted_at_its_last_step_without_labels(strategy):
    report = rule(strategy)
    assert report.verdict == "promote", report.reasons
    assert verdicts(report)["accuracy"] == "not_measured"
    assert rule(strategy, step=0).verdict == "continue"
    assert rule(strategy, elapsed=61.0).verdict == "promote"


def test_an_ab_test_waits_for_labels_that_show_the_release_to_be_better():
    assert rule("ab_test").verdict == "continue"
    assert rule("ab_test", **BETTER).verdict == "promote"
    even = {**BETTER, "wrong": (Split(0.5, 60, 60),)}
    assert rule("ab_test", **even).verdict == "continue"
    assert rule("ab_test", elapsed=60.0, **even).verdict == "not_enough_evidence"


def test_labels_that_come_for_one_side_only_show_nothing_to_be_better():
    report = rule("ab_test", **{**BETTER, "labelled": (Split(0.5, 100, 395),)})
    assert (report.verdict, verdicts(report)["accuracy"]) == ("continue", "undecided")


@pytest.mark.parametrize(
    ("strategy", "metric", "changes"),
    [
        ("canary", "errors", {"failed": (Split(0.05, 6, 2),)}),
        ("shadow", "errors", {"failed_alone": 30}),
        ("blue_green", "errors", {"run_failed": 60, "compared": 0}),
        ("shadow", "latency", {"slowdowns": EQUAL * 1.2}),
        ("canary", "agreement", {"differing": 60}),
        ("canary", "accuracy", {"compared_labelled": 100, "worsened": 25}),
        ("ab_test", "accuracy", {"labelled": (Split(0.5, 400, 395),), "wrong": (Split(0.5, 70, 10),)}),
        ("canary", "sample_ratio", {"assigned": (Split(0.5, 150, 300),)}),
    ],
)
def test_harm_is_called_by_its_name_at_any_step_and_after_the_deadline(strategy, metric, changes):
    for step, elapsed in [(1, 1.0), (4, 5.0), (1, 61.0), (1, float("nan"))]:
        report = rule(strategy, step=step, elapsed=elapsed, **changes)
        assert report.verdict == "roll_back"
        assert [name for name, verdict in verdicts(report).items() if verdict == "harm"] == [metric]
        assert report.reasons[0].startswith(f"{metric} harm: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"run_failed": 15}, "errors not shown to be safe yet"),
        ({"slowdowns": np.append(EQUAL[:185], EQUAL[:215] * 1.2)}, "latency not shown to be safe yet"),
        ({"slowdowns": np.empty(0)}, "latency not shown to be safe yet: no pair was timed"),
        ({"differing": 30}, "agreement not shown to be safe yet"),
        ({"answered": 0, "differing": 0}, "agreement not shown to be safe yet: no two answers were compared"),
        ({"compared": 99}, "99 of 100 comparisons"),
        ({"requests": {1.0: 49}}, "49 of 50 requests in this step"),
    ],
)
def test_a_gate_that_is_not_passed_waits_until_the_deadline(changes, reason):
    for elapsed, verdict in [(5.0, "continue"), (60.0, "not_enough_evidence")]:
        report = rule(elapsed=elapsed, **changes)
        assert report.verdict == verdict
        assert [one for one in report.reasons if one.startswith(reason)], report.reasons


@pytest.mark.parametrize(("elapsed", "verdict"), [(float("nan"), "not_enough_evidence"), (-0.5, "continue")])
def test_a_clock_that_shows_nonsense_promotes_nothing(elapsed, verdict):
    assert rule(elapsed=elapsed).verdict == verdict


def test_alpha_is_shared_by_what_can_be_measured_whether_it_is_or_not():
    def limits(strategy, policy=POLICY):
        return {metric.limit for metric in rule(strategy, policy).metrics}

    assert limits("canary") == limits("ab_test") == {1000.0}
    assert limits("shadow") == limits("blue_green") == {800.0}
    assert limits("shadow", DeploymentPolicy()) == {600.0}


def test_where_nobody_knows_how_often_they_may_differ_agreement_is_not_measured_and_says_so():
    report = rule("canary", DeploymentPolicy(), differing=390)
    assert report.verdict == "promote"
    assert [metric.seen for metric in report.metrics if metric.verdict == "not_measured"][-1].startswith("nobody knows")


def test_a_limit_of_all_answers_is_none():
    policy = DeploymentPolicy(judge=JudgePolicy(max_disagreement=1))
    report = rule(policy=policy, answered=400, differing=400)
    assert (report.verdict, verdicts(report)["agreement"]) == ("promote", "safe")


@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_the_ends_of_the_scale_are_limits_too(limit):
    policy = DeploymentPolicy(judge=JudgePolicy(max_disagreement=limit))
    assert verdicts(rule(policy=policy, differing=398))["agreement"] == ("harm" if limit == 0 else "safe")
    assert verdicts(rule(policy=policy, differing=0))["agreement"] == "safe"


def test_a_report_is_json_however_much_evidence_there_is():
    report = rule(failed=(Split(0.05, 10**6, 0),), failed_alone=10**6, differing=398, assigned=(Split(0.5, 10**6, 0),))
    assert json.loads(json.dumps(report.model_dump(mode="json"), allow_nan=False))["verdict"] == "roll_back"
    assert report.requests == 200
