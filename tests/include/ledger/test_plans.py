from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.contracts import ReleasePlan, ReleaseRef, ReplicaReport
from include.errors import ContractViolationError
from include.ledger import Ledger
from include.ledger.plans import (
    append_plan,
    change_plan,
    end_service,
    find_plan,
    find_plans,
    find_predecessor,
    list_plans,
    list_replicas,
    record_replica,
    remove_replica,
)
from include.ledger.tables import replicas


@pytest.fixture
def plan(make_release: Callable[..., ReleaseRef]) -> ReleasePlan:
    return ReleasePlan(project="digits", revision=1, champion=make_release("a"))


def append(ledger: Ledger, plan: ReleasePlan, why: str = "because") -> ReleasePlan:
    with ledger.begin() as connection:
        return append_plan(connection, plan, why)


def test_the_newest_plan_of_every_project_counts(ledger: Ledger, plan: ReleasePlan, make_release):
    other = plan.model_copy(update={"project": "parts", "champion": make_release("p", "parts")})
    append(ledger, plan)
    newest = append(ledger, plan.model_copy(update={"shadow": 0.5}), "compare")
    append(ledger, other)
    assert find_plans(ledger) == {"digits": newest, "parts": other}
    assert (newest.revision, newest.shadow) == (2, 0.5)
    assert [(one.revision, one.why) for one in list_plans(ledger, "digits")] == [(2, "compare"), (1, "because")]


def test_a_project_out_of_service_has_no_plan_and_goes_on_counting(ledger: Ledger, plan: ReleasePlan):
    append(ledger, plan)
    with ledger.begin() as connection:
        end_service(connection, "digits", "taken back")
    assert (find_plan(ledger, "digits"), find_plans(ledger)) == (None, {})
    assert list_plans(ledger, "digits", 1)[0].plan is None
    assert append(ledger, plan).revision == 3


def test_a_change_that_changes_nothing_makes_no_revision(ledger: Ledger, plan: ReleasePlan):
    append(ledger, plan)
    with ledger.begin() as connection:
        assert change_plan(connection, "digits", lambda plan: plan, "nothing") == plan
        with pytest.raises(ContractViolationError, match=r"run parts\.deploy_model first"):
            change_plan(connection, "parts", lambda plan: plan, "nothing")


def test_changes_at_once_are_made_one_after_the_other(ledger: Ledger, plan: ReleasePlan):
    append(ledger, plan)

    def grow(_: int) -> None:
        with ledger.begin() as connection:
            change_plan(connection, "digits", lambda plan: plan.model_copy(update={"shadow": plan.shadow + 0.125}), "")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(grow, range(8)))
    found = find_plan(ledger, "digits")
    assert found
    assert (found.revision, found.shadow) == (9, 1.0)


def test_the_history_tells_who_was_held_ready(ledger: Ledger, plan: ReleasePlan, make_release):
    first, second = plan.champion, make_release("b")
    append(ledger, plan)
    append(ledger, plan.model_copy(update={"champion": second, "previous": first}))
    with ledger.begin() as connection:
        assert find_predecessor(connection, "digits", second) == first
        assert find_predecessor(connection, "digits", first) is None


def test_a_plan_that_sends_traffic_to_nobody_is_refused(plan: ReleasePlan):
    with pytest.raises(ValueError, match="goes to a candidate, and there is none"):
        ReleasePlan.model_validate(plan.model_dump() | {"weight": 0.1})


def test_replicas_are_known_while_they_report(ledger: Ledger):
    made = [
        ReplicaReport(
            name=name,
            address="http://127.0.0.1:1",
            started_at=datetime.now(UTC),
            revisions={"digits": 3},
            held={},
            rejected={},
            source="ledger",
        )
        for name in ("one", "three", "two")
    ]
    for report in made * 2:
        record_replica(ledger, report)
    remove_replica(ledger, "three")
    silent = sa.update(replicas).where(replicas.c.name == "two")
    with ledger.begin() as connection:
        connection.execute(silent.values(seen_at=sa.func.now() - timedelta(seconds=6)))
    assert list_replicas(ledger) == [made[0]]
    assert list_replicas(ledger, alive_seconds=60) == [made[0], made[2]]
