import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from include.cli.rollouts import deploy_release, switch
from include.contracts import DriftReport
from include.deployment.notes import notes_address
from include.errors import ArtifactNotFoundError, ContractViolationError, RolloutFailedError
from include.ledger.audit import name_user, verify_chain
from include.ledger.episodes import find_unclosed_episode, open_episode
from include.ledger.plans import find_plan
from include.ledger.rollouts import list_rollouts
from include.tracking import Tracking

# Wide limits, so that little traffic shows that a release keeps to them.
LIVE = {
    "canary_steps": [0.5, 1.0],
    "step_requests": 5,
    "comparisons": 20,
    "judge": {"max_error_rate": 0.3, "max_slowdown": 50, "deadline_minutes": 1},
}


@pytest.fixture
def champion(ledger, machine):
    """Who answers, by the plan."""
    return lambda: find_plan(ledger, machine.project).champion


def aliases(mlflow_uri, machine):
    with Tracking(mlflow_uri).connect() as client:
        return client.get_registered_model(machine.project).aliases


def test_a_deployed_release_is_live_its_model_crowned_noted_and_the_episode_over(
    machine, serving, workplace, make, ledger, mlflow_uri
):
    window = {"start": "2026-11-02T00:00:00Z", "end": "2026-11-02T01:00:00Z", "release": None}
    drift = DriftReport(project=machine.project, **window, verdict="drift", predictions=90, summary="sharpness")
    open_episode(ledger, drift)
    release = make(1)
    assert deploy_release(workplace(), release) == release
    assert serving.state(machine.project)["live"] == release.digest
    assert aliases(mlflow_uri, machine) == {"champion": "1"}
    assert find_unclosed_episode(ledger, machine.project) is None
    assert workplace().store.exists(notes_address(release))


def test_what_serves_already_gets_no_second_rollout(serving, workplace, make, ledger, machine, champion):
    first, second = make(1), make(2)
    for release in (first, second, second):
        deploy_release(workplace(), release, "direct")
    newest, before = list_rollouts(ledger, machine.project)
    assert (newest.rollout.release, newest.rollout.previous) == (second, first.digest)
    assert (newest.state, before.state, champion()) == ("completed", "completed", second)
    serving.end()
    machine.write_project(deployment={"ready_seconds": 1})
    with pytest.raises(RolloutFailedError, match=r"no serving process reports.*make status"):
        deploy_release(workplace(), second)
    assert champion() == second


def test_a_release_that_fails_its_golden_images_is_taken_back(
    serving, workplace, make, ledger, machine, mlflow_uri, champion
):
    good, bad = make(1), make(2, answers=[1.0, *[0.0] * 9])
    deploy_release(workplace(), good)
    with pytest.raises(RolloutFailedError, match=r"rolled back: .*golden/000\.png"):
        deploy_release(workplace(), bad, "direct")
    assert champion() == good
    assert serving.state(machine.project)["live"] == good.digest
    assert aliases(mlflow_uri, machine) == {"champion": "1"}
    chain, sealed = verify_chain(ledger, machine.project, workplace().store)
    assert (chain[-1].kind, chain[-1].who, sealed) == ("override", "judge", len(chain))


def test_without_a_serving_process_a_new_release_is_taken_back(machine, workplace, make, ledger):
    machine.write_project(deployment={"ready_seconds": 1})
    with pytest.raises(RolloutFailedError, match=r"rolled back: after \d s, no serving process reports"):
        deploy_release(workplace(), make(1))
    assert find_plan(ledger, machine.project) is None


@pytest.fixture
def traffic(serving, png):
    """Two clients that ask under changing keys, and label each answer, until the test has its report."""

    def ask(stop: threading.Event, number: int) -> list[dict]:
        answers = []
        with httpx.Client(base_url=serving.uri) as client:
            while not stop.is_set():
                key = f"client {number}, key {len(answers) // 3}"
                answer = client.post("/v1/predict", content=png, headers={"X-Windhover-Key": key}).raise_for_status()
                answers.append(answer.json() | {"key": key})
                label = {"request_id": answers[-1]["request_id"], "label": "2"}
                client.post("/v1/feedback", json=label).raise_for_status()
        return answers

    def run(work) -> tuple[list[dict], Exception | None]:
        stop = threading.Event()
        with ThreadPoolExecutor(3) as pool:
            clients = [pool.submit(ask, stop, number) for number in range(2)]
            error = pool.submit(work).exception()
            stop.set()
            return [answer for client in clients for answer in client.result()], error

    return run


@pytest.mark.parametrize("strategy", ["canary", "blue_green", "shadow", "ab_test"])
def test_each_strategy_is_judged_by_live_traffic(machine, workplace, make, champion, traffic, ledger, strategy):
    machine.write_project(deployment=LIVE)
    first, second = make(1), make(2)
    deploy_release(workplace(), first)
    answers, error = traffic(lambda: deploy_release(workplace(), second, strategy))
    assert error is None
    assert champion() == second
    (newest, *_) = list_rollouts(ledger, machine.project)
    assert (newest.rollout.strategy, newest.state) == (strategy, "completed")
    final = find_plan(ledger, machine.project).revision
    judged = [answer for answer in answers if answer["revision"] < final]
    both = {first.digest, second.digest}
    assert {answer["release"] for answer in judged} == ({first.digest} if strategy == "shadow" else both)
    met = {(answer["key"], answer["release"]) for answer in judged if answer["revision"] == final - 1}
    if strategy == "ab_test":
        assert len(met) == len({key for key, _ in met}), "a key met both releases"
    assert f"rollout {newest.rollout.id} is complete" in workplace().store.read(notes_address(second)).decode()


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
def test_a_release_that_fails_is_taken_back_and_no_client_notices(
    machine, workplace, make, champion, traffic, strategy
):
    machine.write_project(deployment=LIVE)
    first, second = make(1), make(2, fails_above=50)
    deploy_release(workplace(), first)
    answers, error = traffic(lambda: deploy_release(workplace(), second, strategy))
    assert isinstance(error, RolloutFailedError)
    assert "errors harm" in str(error)
    assert champion() == first
    assert {answer["release"] for answer in answers} == {first.digest}


def test_back_and_forward_once_every_process_follows(serving, workplace, make, ledger, machine, mlflow_uri, champion):
    first, second = make(1), make(2)
    deploy_release(workplace(), first)
    deploy_release(workplace(), second, "direct")
    assert switch(workplace(), "previous", "calls 3 an 8") == first
    assert serving.state(machine.project)["live"] == first.digest
    chain, sealed = verify_chain(ledger, machine.project, workplace().store)
    assert (chain[-1].kind, chain[-1].who, chain[-1].why) == ("override", name_user(), "calls 3 an 8")
    assert sealed == len(chain)
    assert aliases(mlflow_uri, machine) == {"champion": "2", "previous": "1"}
    with pytest.raises(ArtifactNotFoundError, match="nothing is held that answered before"):
        switch(workplace(), "previous")
    assert switch(workplace(), "next") == second
    assert serving.state(machine.project)["live"] == second.digest
    assert switch(workplace(), "1") == first


def test_taking_back_is_not_done_until_the_old_release_is_live(machine, serving, workplace, make, champion):
    first, second = make(1), make(2)
    deploy_release(workplace(), first)
    deploy_release(workplace(), second, "direct")
    machine.write_project(deployment={"ready_seconds": 1})
    serving.end()
    with pytest.raises(RolloutFailedError, match="no serving process reports"):
        switch(workplace(), "previous")
    assert champion() == first


def test_what_is_no_strategy_is_refused_before_anything_is_done(machine, workplace, make, ledger):
    with pytest.raises(ContractViolationError, match="'rolling' is no strategy"):
        deploy_release(workplace(), make(1), "rolling")
    assert find_plan(ledger, machine.project) is None
