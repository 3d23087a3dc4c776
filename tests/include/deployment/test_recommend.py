from datetime import UTC, datetime, timedelta

import pytest

from include.deployment.recommend import ServiceFacts, read_facts, recommend_strategy
from include.errors import ContractViolationError
from include.predictions import append_rows
from include.project import DeploymentPolicy
from tests.rollouts import serve


@pytest.fixture
def configured(project):
    return lambda **values: project.model_copy(update={"deployment": DeploymentPolicy(**values)})


BUSY, QUIET = ServiceFacts(serving=True, requests_per_hour=5000), ServiceFacts(serving=True, requests_per_hour=30)
LABELLED = ServiceFacts(serving=True, requests_per_hour=5000, labels_per_hour=900)


@pytest.mark.parametrize(
    ("facts", "risk", "strategy", "reason"),
    [
        (ServiceFacts(serving=False, requests_per_hour=5000), "high", "direct", "nothing to compare it with"),
        (BUSY, "high", "shadow", "costs much"),
        (QUIET, "high", "shadow", "costs much"),
        (LABELLED, "high", "shadow", "costs much"),
        (BUSY, "medium", "canary", "5000 requests are expected before the deadline, and the canary's steps need 1350"),
        (LABELLED, "medium", "canary", "5000 requests"),
        (QUIET, "medium", "blue_green", "30 requests are expected before the deadline, too few"),
        (LABELLED, "low", "ab_test", "900 labels are expected"),
        (BUSY, "low", "canary", "5000 requests"),
        (QUIET, "low", "blue_green", "too few"),
        (ServiceFacts(serving=True), "medium", "blue_green", "0 requests"),
    ],
)
def test_the_rules(configured, facts, risk, strategy, reason):
    decision = recommend_strategy(configured(risk=risk), facts)
    assert (decision.strategy, decision.recommended) == (strategy, strategy)
    assert reason in decision.reasons[0]


def test_a_short_deadline_sees_less(configured):
    assert recommend_strategy(configured(judge={"deadline_minutes": 10}), BUSY).strategy == "blue_green"
    assert recommend_strategy(configured(step_requests=5, judge={"deadline_minutes": 10}), BUSY).strategy == "canary"


@pytest.mark.parametrize(
    ("configured_as", "asked", "strategy", "who"),
    [
        ("recommended", "shadow", "shadow", "whoever started this run asks for shadow"),
        ("blue_green", "shadow", "shadow", "whoever started this run asks for shadow"),
        ("blue_green", "", "blue_green", "the project file asks for blue_green"),
        ("blue_green", "recommended", "blue_green", "the project file asks for blue_green"),
    ],
)
def test_the_form_is_stronger_than_the_file_and_both_than_the_rules(configured, configured_as, asked, strategy, who):
    decision = recommend_strategy(configured(strategy=configured_as), BUSY, asked)
    assert (decision.strategy, decision.recommended) == (strategy, "canary")
    assert decision.reasons[0] == who
    assert decision.reasons[1].startswith("canary is recommended")


@pytest.mark.parametrize("asked", ["Canary", "rolling", "direct; rm"])
def test_what_is_no_strategy_is_refused(configured, asked):
    with pytest.raises(ContractViolationError, match="is no strategy; choose of direct, blue_green"):
        recommend_strategy(configured(), BUSY, asked)


def test_facts_are_of_the_last_hours_and_count_labels_that_came_in_time(configured, ledger, store, release_of):
    serve(ledger, release_of(1))
    now = datetime.now(UTC)
    rows = [{"project": "digits", "request_id": f"r{n}", "time": now - timedelta(minutes=100)} for n in range(60)]
    before = [{"project": "digits", "request_id": f"o{n}", "time": now - timedelta(hours=9)} for n in range(9)]
    labels = [
        {"project": "digits", "request_id": f"r{n}", "label": "1", "time": now - timedelta(minutes=100 - delay)}
        for n, delay in enumerate([1, 59, 61, 90])
    ]
    for kind, entries in (
        ("predictions", rows),
        ("predictions", rows[:5]),
        ("predictions", before),
        ("feedback", labels),
    ):
        for position, day in enumerate(sorted({row["time"].date() for row in entries})):
            today = [row for row in entries if row["time"].date() == day]
            append_rows(store, kind, f"{len(entries)}-{position}", today)
    facts = read_facts(configured(), release_of(2), ledger, store)
    assert facts == ServiceFacts(serving=True, requests_per_hour=20.0, labels_per_hour=pytest.approx(2 / 3))


def test_nothing_else_in_service_means_nothing_to_compare_with(project, ledger, store, release_of):
    assert read_facts(project, release_of(1), ledger, store) == ServiceFacts(serving=False)
    serve(ledger, release_of(1))
    assert not read_facts(project, release_of(1), ledger, store).serving
    assert read_facts(project, release_of(2), ledger, store) == ServiceFacts(serving=True)
