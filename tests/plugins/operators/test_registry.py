import pytest

from include.contracts import ModelVersionRef
from include.ledger.episodes import answer_episode, find_unclosed_episode, open_episode
from tests.plugins.samples import DAY, DRIFT, PROMOTION, REJECTION, VERSION
from tests.plugins.task_runs import make_run, run_task


@pytest.fixture
def dag(load_dag, ledger_connection, tracking, stages):
    stages.replace(
        "include.registry.model_card.card_address", lambda version: f"digits/reports/model_card/{version.version}/x"
    )
    return load_dag("promote_model")


def test_a_promoted_candidate_is_registered_and_announced(dag, api_server, stages):
    calls = stages.replace("include.registry.register.register_model", VERSION)
    api_server.returned["decide_promotion"] = PROMOTION.model_dump(mode="json")

    outcome = run_task(api_server, dag, "register_model", make_run(dag.dag_id, partition_key=DAY))

    assert calls[0]["decision"] == PROMOTION
    [event] = outcome.announced
    assert (event["dest_asset_key"]["name"], event["partition_key"]) == ("digits.certified_model", DAY)
    assert ModelVersionRef.model_validate(event["extra"]) == VERSION
    assert outcome.links == {"_link_model_card": "/windhover/reports/digits/reports/model_card/3/x"}


@pytest.mark.parametrize("answered", [True, False], ids=["its-training-was-asked-for", "nobody-has-answered-it-yet"])
def test_a_rejected_candidate_is_skipped_and_ends_an_answered_episode(
    dag, api_server, stages, ledger_connection, answered
):
    calls = stages.replace("include.registry.register.register_model", VERSION)
    episode = open_episode(ledger_connection, DRIFT)
    if answered:
        answer_episode(ledger_connection, episode, "the monitor's run")
    api_server.returned["decide_promotion"] = REJECTION.model_dump(mode="json")

    outcome = run_task(api_server, dag, "register_model")

    assert outcome.state == "skipped"
    assert outcome.announced == []
    assert calls == []
    assert (find_unclosed_episode(ledger_connection, "digits") is None) == answered
