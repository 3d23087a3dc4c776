from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from include.contracts import ReleaseRef, RolloutRef
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.releases import (
    complete_rollout,
    find_release,
    find_serving_releases,
    find_serving_rollouts,
    record_release,
    revert_rollout,
    start_rollout,
)
from include.ledger.tables import rollouts

Releases = dict[str, ReleaseRef]


@pytest.fixture
def packaged(ledger: Ledger, make_release: Callable[..., ReleaseRef]) -> Releases:
    found = {name: make_release(name) for name in ("a", "b", "c")}
    for release in found.values():
        record_release(ledger, release)
    return found


def served(ledger: Ledger) -> ReleaseRef | None:
    return find_serving_releases(ledger).get("digits")


def state(ledger: Ledger, rollout: RolloutRef) -> str:
    with ledger.begin() as connection:
        return str(connection.scalar(sa.select(rollouts.c.state).where(rollouts.c.id == rollout.id)))


def test_a_release_is_found_as_recorded(ledger: Ledger, packaged: Releases):
    record_release(ledger, packaged["a"])
    assert find_release(ledger, "digits", packaged["a"].digest) == packaged["a"]
    with pytest.raises(ArtifactNotFoundError, match="package the model version first"):
        find_release(ledger, "parts", packaged["a"].digest)


def test_a_rollout_puts_its_release_into_service(ledger: Ledger, packaged: Releases):
    assert served(ledger) is None
    first = start_rollout(ledger, packaged["a"], "run 1")
    complete_rollout(ledger, first)
    second = start_rollout(ledger, packaged["b"], "run 2")
    assert (first.previous, second.previous) == (None, packaged["a"].digest)
    assert served(ledger) == packaged["b"]
    assert (state(ledger, first), state(ledger, second)) == ("completed", "started")


def test_the_same_run_finds_its_rollout_again(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    assert start_rollout(ledger, packaged["b"], "run 2") == second
    assert second.previous == packaged["a"].digest


def test_the_same_run_at_once_makes_one_rollout(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: start_rollout(ledger, packaged["b"], "run 2"), range(8)))
    assert len({rollout.id for rollout in found}) == 1
    assert {rollout.previous for rollout in found} == {packaged["a"].digest}


def test_reverting_returns_to_what_served_before(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    for _ in range(2):
        revert_rollout(ledger, second, ["wrong answers"])
        assert served(ledger) == packaged["a"]
    assert state(ledger, second) == "rolled_back"


def test_reverting_the_first_release_leaves_none(ledger: Ledger, packaged: Releases):
    revert_rollout(ledger, start_rollout(ledger, packaged["a"], "run 1"), ["wrong answers"])
    assert served(ledger) is None


def test_a_late_attempt_does_not_complete_a_reverted_rollout(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    revert_rollout(ledger, second, ["wrong answers"])
    complete_rollout(ledger, second)
    assert served(ledger) == packaged["a"]
    assert state(ledger, second) == "rolled_back"


def test_a_run_cleared_after_its_rollout_was_reverted_tries_again(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    revert_rollout(ledger, second, ["the serving process was down"])
    again = start_rollout(ledger, packaged["b"], "run 2")
    assert (again.id, again.previous) == (second.id, packaged["a"].digest)
    assert served(ledger) == packaged["b"]
    complete_rollout(ledger, again)
    assert state(ledger, again) == "completed"


def test_reverting_leaves_a_newer_rollout_alone(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    start_rollout(ledger, packaged["c"], "run 3")
    revert_rollout(ledger, second, ["too slow"])
    assert served(ledger) == packaged["c"]


def test_a_newer_rollout_does_not_return_to_a_reverted_release(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    third = start_rollout(ledger, packaged["c"], "run 3")
    revert_rollout(ledger, second, ["wrong answers"])
    revert_rollout(ledger, third, ["wrong answers"])
    assert served(ledger) == packaged["a"]


def test_a_repeated_revert_does_not_touch_what_happened_since(ledger: Ledger, packaged: Releases):
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    revert_rollout(ledger, second, ["cold start"])
    complete_rollout(ledger, start_rollout(ledger, packaged["b"], "run 3"))
    fourth = start_rollout(ledger, packaged["c"], "run 4")
    revert_rollout(ledger, second, ["cold start"])
    revert_rollout(ledger, fourth, ["wrong answers"])
    assert served(ledger) == packaged["b"]


def test_projects_are_served_side_by_side(ledger: Ledger, make_release: Callable[..., ReleaseRef]):
    wanted = {project: make_release(project, project) for project in ("digits", "parts")}
    for release in wanted.values():
        record_release(ledger, release)
        start_rollout(ledger, release, "run")
    assert find_serving_releases(ledger) == wanted


def test_the_rollout_that_serves_is_known_until_it_is_taken_back(ledger: Ledger, packaged: Releases):
    assert find_serving_rollouts(ledger, "digits") == []
    start_rollout(ledger, packaged["a"], "run 1")
    second = start_rollout(ledger, packaged["b"], "run 2")
    assert find_serving_rollouts(ledger, "digits") == [second]
    assert find_serving_rollouts(ledger, "parts") == []
    revert_rollout(ledger, second, ["wrong answers"])
    assert find_serving_rollouts(ledger, "digits") == []


def test_all_rollouts_in_a_row_of_what_serves_are_known_oldest_first(ledger: Ledger, packaged: Releases):
    for run, name in enumerate("aba"):
        start_rollout(ledger, packaged[name], f"run {run}")
    again = start_rollout(ledger, packaged["a"], "run 4")
    found = find_serving_rollouts(ledger, "digits")
    assert [(rollout.id, rollout.previous) for rollout in found] == [
        (again.id - 1, packaged["b"].digest),
        (again.id, packaged["a"].digest),
    ]
    for rollout in found:
        revert_rollout(ledger, rollout, ["wrong answers"])
    assert served(ledger) == packaged["b"]


def test_a_rollout_that_is_tried_again_counts_from_then_on(ledger: Ledger, packaged: Releases):
    first = start_rollout(ledger, packaged["a"], "run 1")
    revert_rollout(ledger, first, ["cold start"])
    start_rollout(ledger, packaged["b"], "run 2")
    again = start_rollout(ledger, packaged["a"], "run 1")
    assert again.id == first.id
    assert find_serving_rollouts(ledger, "digits") == [again]
