import pytest

from include.cli import rollouts
from include.cli.rollouts import deploy, return_to_previous
from include.cli.workplace import Workplace
from include.contracts import DriftReport
from include.errors import ArtifactNotFoundError, RolloutFailedError
from include.ledger.audit import name_user, verify_chain
from include.ledger.episodes import find_unclosed_episode, open_episode
from include.ledger.releases import find_serving_releases, find_serving_rollouts
from include.tracking import Tracking


@pytest.fixture
def serving(machine, monkeypatch, serve):
    serving = serve()
    monkeypatch.setenv("WINDHOVER_SERVING_URI", serving.uri)
    return serving


@pytest.fixture
def workplace(machine, monkeypatch, mlflow_uri):
    """A workplace whose project has two versions in MLflow, to be crowned."""
    monkeypatch.setenv("WINDHOVER_MLFLOW_URI", mlflow_uri)
    tracking = Tracking(mlflow_uri)
    with tracking.connect() as client:
        run = client.create_run(tracking.find_experiment(machine.project)).info
        client.create_registered_model(machine.project)
        for _ in range(2):
            client.create_model_version(machine.project, run.artifact_uri, run.run_id, await_creation_for=0)
    return lambda: Workplace.open(machine.project)


@pytest.fixture
def make(make_release, machine):
    return lambda version, **options: make_release(version, name=machine.project, **options)


def wanted(ledger, machine):
    return find_serving_releases(ledger)[machine.project].digest


def aliases(mlflow_uri, machine):
    with Tracking(mlflow_uri).connect() as client:
        return client.get_registered_model(machine.project).aliases


def test_a_deployed_release_is_live_its_model_crowned_and_the_episode_over(
    machine, serving, workplace, make, ledger, mlflow_uri
):
    window = {"start": "2026-11-02T00:00:00Z", "end": "2026-11-02T01:00:00Z", "release": None}
    drift = DriftReport(project=machine.project, **window, verdict="drift", predictions=90, summary="sharpness")
    open_episode(ledger, drift)
    release = make(1)
    assert deploy(workplace(), release) == release
    assert serving.state(machine.project)["live"] == release.digest
    assert aliases(mlflow_uri, machine) == {"champion": "1"}
    assert find_unclosed_episode(ledger, machine.project) is None


def test_what_serves_already_gets_no_second_rollout(serving, workplace, make, ledger, machine):
    first, second = make(1), make(2)
    for release in (first, second, second):
        deploy(workplace(), release)
    (rollout,) = find_serving_rollouts(ledger, machine.project)
    assert (rollout.release, rollout.previous) == (second, first.digest)


def test_a_release_that_fails_its_golden_images_is_taken_back(serving, workplace, make, ledger, machine, mlflow_uri):
    good, bad = make(1), make(2, answers=[1.0, *[0.0] * 9])
    deploy(workplace(), good)
    with pytest.raises(RolloutFailedError, match=r"rolled back: .*golden/000\.png"):
        deploy(workplace(), bad)
    assert wanted(ledger, machine) == serving.state(machine.project)["live"] == good.digest
    assert aliases(mlflow_uri, machine) == {"champion": "1"}


def test_without_a_serving_process_a_new_release_is_taken_back(machine, workplace, make, ledger):
    machine.write_project(deployment={"ready_seconds": 1})
    with pytest.raises(
        RolloutFailedError, match=r"rolled back: .* is not live by .*http://127\.0\.0\.1:9 does not answer"
    ):
        deploy(workplace(), make(1))
    assert find_serving_releases(ledger) == {}


def test_an_outage_does_not_take_back_what_served_before(machine, serving, workplace, make, ledger, monkeypatch):
    machine.write_project(deployment={"ready_seconds": 1})
    for version in (1, 2):
        deploy(workplace(), release := make(version))
    serving.end()
    with pytest.raises(RolloutFailedError, match=r"does not answer.*make status.*or return with `rollback`"):
        deploy(workplace(), release)
    assert wanted(ledger, machine) == release.digest


def test_returns_to_the_release_before_once(serving, workplace, make, ledger, machine, mlflow_uri):
    first, second = make(1), make(2)
    deploy(workplace(), first)
    deploy(workplace(), second)
    assert return_to_previous(workplace(), "calls 3 an 8") == first
    chain, sealed = verify_chain(ledger, machine.project, workplace().store)
    assert (chain[-1].kind, chain[-1].who, chain[-1].why) == ("override", name_user(), "calls 3 an 8")
    assert sealed == len(chain)
    assert serving.state(machine.project)["live"] == wanted(ledger, machine) == first.digest
    assert aliases(mlflow_uri, machine) == {"champion": "2", "previous": "1"}
    with pytest.raises(ArtifactNotFoundError, match=f"nothing to take back: .* has returned to {first.digest} already"):
        return_to_previous(workplace())
    deploy(workplace(), second)
    assert wanted(ledger, machine) == second.digest


def test_the_first_release_is_not_taken_away(serving, workplace, make, ledger, machine):
    deploy(workplace(), release := make(1))
    with pytest.raises(ArtifactNotFoundError, match=f"served nothing before {release.digest}"):
        return_to_previous(workplace())
    assert wanted(ledger, machine) == release.digest


def test_a_release_that_was_rolled_out_twice_is_taken_back_whole(serving, workplace, make, want, ledger, machine):
    first, second = make(1), make(2)
    deploy(workplace(), first)
    want(second)
    want(second)
    assert return_to_previous(workplace()) == first
    assert wanted(ledger, machine) == first.digest


def test_taking_back_is_not_done_until_the_old_release_is_live(
    machine, serving, workplace, make, ledger, store, monkeypatch
):
    monkeypatch.setattr(rollouts, "POLL_SECONDS", 0.01)
    machine.write_project(deployment={"ready_seconds": 5})
    first, second = make(1), make(2)
    deploy(workplace(), first)
    deploy(workplace(), second)
    store.path(first.address).rename(store.path(f"{machine.project}/elsewhere"))
    with pytest.raises(RolloutFailedError, match=f"{second.digest} is taken back, but .*no release at"):
        return_to_previous(workplace())
    assert wanted(ledger, machine) == first.digest
