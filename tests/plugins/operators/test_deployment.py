import pytest

from include.contracts import ReleaseRef, RolloutRef
from include.errors import ArtifactNotFoundError, ParityError
from include.ledger.audit import verify_chain
from include.ledger.episodes import find_unclosed_episode, open_episode
from include.ledger.releases import complete_rollout, find_serving_releases, record_release
from include.settings import load_settings
from tests.plugins.samples import DAY, DRIFT, HEALTHY, RELEASE, ROLLOUT, VERSION, digest
from tests.plugins.task_runs import make_event, make_run, run_task
from windhover.assets import ProjectAssets

CERTIFIED_MODEL = ProjectAssets("digits").certified_model
EVENT = make_event(CERTIFIED_MODEL, VERSION.model_dump(mode="json"))
CARD = {"_link_model_card": "/windhover/reports/digits/reports/model_card/3/x"}
ENDPOINT = {"_link_endpoint": "http://serving.example"}


@pytest.fixture
def dag(load_dag, machine, tracking, stages):
    stages.replace(
        "include.registry.model_card.card_address", lambda version: f"digits/reports/model_card/{version.version}/x"
    )
    return load_dag("deploy_model")


def test_packages_the_version_that_started_the_run(dag, api_server, stages, project):
    calls = stages.replace("include.deployment.package.package_model", RELEASE)

    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, consumed_asset_events=[EVENT]))

    assert (calls[0]["version"], calls[0]["project"]) == (VERSION, project)
    assert ReleaseRef.model_validate(api_server.returned["package_model"]) == RELEASE
    assert outcome.links == CARD


def test_a_release_that_answers_differently_is_final_and_links_the_card(dag, api_server, stages):
    stages.replace("include.deployment.package.package_model", ParityError("differs by 0.1"))
    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, consumed_asset_events=[EVENT]))
    assert outcome.state == "failed"
    assert outcome.links == CARD


def test_nothing_certified_yet_says_what_to_run(dag, api_server, stages):
    stages.replace("include.deployment.package.package_model", RELEASE)
    outcome = run_task(api_server, dag, "package_model", make_run(dag.dag_id, "manual"))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
    assert "promote_model" in str(outcome.error)


@pytest.fixture
def rolled_out(dag, api_server, ledger_connection):
    """A release that the ledger says should serve."""
    record_release(ledger_connection, RELEASE)
    api_server.returned["package_model"] = RELEASE.model_dump(mode="json")
    assert run_task(api_server, dag, "roll_out").state == "success"
    return RolloutRef.model_validate(api_server.returned["roll_out"])


def test_rolling_out_twice_in_one_run_is_one_rollout(dag, api_server, rolled_out, ledger_connection):
    assert find_serving_releases(ledger_connection) == {"digits": RELEASE}
    run_task(api_server, dag, "roll_out")
    assert RolloutRef.model_validate(api_server.returned["roll_out"]) == rolled_out


def test_a_healthy_rollout_crowns_the_champion_and_ends_the_episode(
    dag, api_server, stages, rolled_out, ledger_connection
):
    calls = stages.replace("include.registry.aliases.crown_champion", None)
    open_episode(ledger_connection, DRIFT)
    api_server.returned["judge_rollout"] = HEALTHY.model_copy(update={"rollout": rolled_out}).model_dump(mode="json")

    outcome = run_task(api_server, dag, "complete_rollout", make_run(dag.dag_id, partition_key=DAY))

    assert calls[0]["version"] == VERSION
    assert find_unclosed_episode(ledger_connection, "digits") is None
    [event] = outcome.announced
    assert (event["dest_asset_key"]["name"], event["partition_key"]) == ("digits.serving_model", DAY)
    assert ReleaseRef.model_validate(event["extra"]) == RELEASE
    assert outcome.links == ENDPOINT


def test_rolling_back_returns_to_what_served_before(dag, api_server, rolled_out, ledger_connection):
    worse = RELEASE.model_copy(update={"digest": digest("2"), "address": "digits/releases/2"})
    record_release(ledger_connection, worse)
    api_server.returned["package_model"] = worse.model_dump(mode="json")
    assert run_task(api_server, dag, "roll_out", make_run(dag.dag_id, "manual")).state == "success"
    assert find_serving_releases(ledger_connection) == {"digits": worse}

    outcome = run_task(api_server, dag, "roll_back", make_run(dag.dag_id, "manual"))

    assert outcome.state == "success"
    assert find_serving_releases(ledger_connection) == {"digits": rolled_out.release}
    assert outcome.links == ENDPOINT


def test_a_healthy_release_that_a_person_takes_back_is_on_the_audit_chain(
    dag, api_server, rolled_out, ledger_connection
):
    complete_rollout(ledger_connection, rolled_out)
    outcome = run_task(api_server, dag, "roll_back", make_run(dag.dag_id, note="ada: calls 3 an 8"))
    assert outcome.state == "success"
    (entry,), sealed = verify_chain(ledger_connection, "digits", load_settings().open_store())
    run = f"{dag.dag_id}/{make_run(dag.dag_id).run_id}"
    assert (entry.kind, entry.who, entry.why, sealed) == ("override", run, "ada: calls 3 an 8", 1)


def test_a_run_that_failed_before_its_rollout_rolls_nothing_back(dag, api_server, stages):
    # The trigger rule counts `upstream_failed`: roll_back starts also when package_model failed.
    calls = stages.replace("include.deployment.rollout.roll_back", None)
    outcome = run_task(api_server, dag, "roll_back")
    assert outcome.state == "skipped"
    assert calls == []


def test_an_unreadable_rollout_is_not_tried_again(dag, api_server):
    api_server.returned["roll_out"] = ROLLOUT.model_dump(mode="json") | {"id": "first"}
    assert run_task(api_server, dag, "roll_back").state == "failed"
