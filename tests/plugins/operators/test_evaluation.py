from datetime import timedelta

import pytest

from include.contracts import ComparisonReport, EvaluationReport, ModelRef, PromotionDecision
from include.errors import ArtifactNotFoundError, DataQualityError
from include.ledger.models import find_decision
from tests.plugins.samples import CHAMPION, EVALUATION, MODEL, VERSION, evaluate
from tests.plugins.task_runs import NOW, make_event, make_run, run_task
from windhover.assets import ProjectAssets

CANDIDATE_MODEL = ProjectAssets("digits").candidate_model


@pytest.fixture
def dag(load_dag, machine, tracking):
    return load_dag("promote_model")


def test_takes_the_newest_of_the_candidates_that_started_the_run(dag, api_server):
    newest, older = MODEL.model_dump(mode="json"), CHAMPION.model_dump(mode="json")
    events = [
        make_event(CANDIDATE_MODEL, newest, NOW),
        make_event(CANDIDATE_MODEL, older, NOW - timedelta(minutes=5)),
    ]
    run_task(api_server, dag, "select_candidate", make_run(dag.dag_id, consumed_asset_events=events))
    assert ModelRef.model_validate(api_server.returned["select_candidate"]) == MODEL


def test_a_run_by_hand_takes_the_newest_ever_announced(dag, api_server):
    announced = [CHAMPION.model_dump(mode="json"), MODEL.model_dump(mode="json")]
    api_server.events[CANDIDATE_MODEL.name].extend(announced)
    run_task(api_server, dag, "select_candidate", make_run(dag.dag_id, "manual"))
    assert ModelRef.model_validate(api_server.returned["select_candidate"]) == MODEL


def test_no_candidate_ever_is_a_final_failure_that_says_what_to_run(dag, api_server):
    outcome = run_task(api_server, dag, "select_candidate", make_run(dag.dag_id, "manual"))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)
    assert "train_model" in str(outcome.error)


def test_candidate_is_measured_on_its_own_dataset(dag, api_server, stages, project):
    calls = stages.replace("include.evaluation.evaluate.evaluate_model", EVALUATION)
    api_server.returned["select_candidate"] = MODEL.model_dump(mode="json")

    outcome = run_task(api_server, dag, "evaluate_candidate")

    assert calls[0]["model"] == MODEL
    assert calls[0]["dataset"] == MODEL.dataset
    assert calls[0]["project"] == project
    assert EvaluationReport.model_validate(api_server.returned["evaluate_candidate"]) == EVALUATION
    assert outcome.links == {
        "_link_evaluation": "/windhover/reports/digits/reports/evaluation/run1/index.html",
        "_link_mlflow_run": "http://mlflow:5500/#/runs/run1",
    }


def test_an_evaluation_that_fails_still_links_the_run(dag, api_server, stages):
    stages.replace("include.evaluation.evaluate.evaluate_model", DataQualityError("no test image"))
    api_server.returned["select_candidate"] = MODEL.model_dump(mode="json")
    outcome = run_task(api_server, dag, "evaluate_candidate")
    assert outcome.state == "failed"
    assert outcome.links == {"_link_evaluation": "", "_link_mlflow_run": "http://mlflow:5500/#/runs/run1"}


def test_champion_is_measured_on_the_candidates_dataset(dag, api_server, stages):
    dataset = MODEL.dataset.model_copy(update={"version": 2})
    candidate = MODEL.model_copy(update={"dataset": dataset})
    stages.replace("include.registry.aliases.find_champion", VERSION.model_copy(update={"model": CHAMPION}))
    calls = stages.replace("include.evaluation.evaluate.evaluate_model", evaluate(CHAMPION, 0.9))
    api_server.returned["select_candidate"] = candidate.model_dump(mode="json")

    outcome = run_task(api_server, dag, "evaluate_champion")

    assert (calls[0]["model"], calls[0]["dataset"]) == (CHAMPION, dataset)
    assert outcome.links == {
        "_link_evaluation": "/windhover/reports/digits/reports/evaluation/run0/index.html",
        "_link_mlflow_run": "http://mlflow:5500/#/runs/run0",
    }


def test_without_a_champion_there_is_no_report_and_the_decision_knows_it(dag, api_server, stages, ledger_connection):
    stages.replace("include.registry.aliases.find_champion", None)
    stages.replace("include.evaluation.evaluate.evaluate_model", AssertionError("there is nothing to measure"))
    api_server.returned |= {
        "select_candidate": MODEL.model_dump(mode="json"),
        "evaluate_candidate": EVALUATION.model_dump(mode="json"),
    }

    assert run_task(api_server, dag, "evaluate_champion").state == "success"
    assert run_task(api_server, dag, "decide_promotion").state == "success"

    decision = PromotionDecision.model_validate(api_server.returned["decide_promotion"])
    assert (decision.verdict, decision.champion) == ("promote", None)
    assert find_decision(ledger_connection, MODEL.key) == decision


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.99, "reject"), (0.9, "promote")])
def test_a_champion_is_compared_and_stays_where_it_is_better(
    dag, api_server, stages, ledger_connection, project, accuracy, verdict
):
    champion = evaluate(CHAMPION, accuracy)
    bounds = {"low": 0.95 - accuracy - 0.01, "high": 0.95 - accuracy + 0.01}
    compared = ComparisonReport(measure="accuracy", better="higher", candidate=0.95, champion=accuracy, **bounds)
    calls = stages.replace("include.evaluation.compare.compare_models", (compared,))
    api_server.returned |= {
        "evaluate_candidate": EVALUATION.model_dump(mode="json"),
        "evaluate_champion": champion.model_dump(mode="json"),
    }
    run_task(api_server, dag, "decide_promotion")
    assert (calls[0]["candidate"], calls[0]["champion"], calls[0]["project"]) == (EVALUATION, champion, project)
    decision = PromotionDecision.model_validate(api_server.returned["decide_promotion"])
    assert (decision.verdict, decision.comparisons) == (verdict, (compared,))
    assert find_decision(ledger_connection, MODEL.key) == decision
