"""Which task follows which, and which asset each DAG is born for."""

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.dags.test_conventions import ROOT

EDGES = {
    "ingest_images": [
        ("collect_batch", "ingest"),
        ("ingest", "validate_images"),
        ("validate_images", "publish_dataset"),
        ("publish_dataset", "announce_dataset"),
        ("publish_dataset", "describe_dataset"),
        ("wait_for_batch", "collect_batch"),
    ],
    "release_quarantine": [],
    "import_model": [("select_dataset", "import_model")],
    "forget_images": [],
    "maintain_platform": [("clean_versions", "clean_staging"), ("compact_dataset", "clean_versions")],
    "train_model": [
        ("cross_validate", "train_candidate"),
        ("run_trials", "cross_validate"),
        ("run_trials", "train_candidate"),
        ("select_dataset", "cross_validate"),
        ("select_dataset", "inspect_shortcuts"),
        ("select_dataset", "run_trials"),
        ("select_dataset", "train_candidate"),
        ("train_candidate", "settle_training"),
    ],
    "promote_model": [
        ("approve_promotion", "register_model"),
        ("decide_promotion", "approve_promotion"),
        ("decide_promotion", "register_model"),
        ("evaluate_candidate", "decide_promotion"),
        ("evaluate_champion", "decide_promotion"),
        ("select_candidate", "evaluate_candidate"),
        ("select_candidate", "evaluate_champion"),
        ("select_candidate", "explain_candidate"),
    ],
    "deploy_model": [
        ("choose_strategy", "roll_out"),
        ("complete_rollout", "write_release_notes"),
        ("judge_rollout", "complete_rollout"),
        ("judge_rollout", "roll_back"),
        ("package_model", "choose_strategy"),
        ("package_model", "roll_out"),
        ("roll_out", "judge_rollout"),
        ("roll_out", "roll_back"),
        ("roll_out", "write_release_notes"),
    ],
    "switch_release": [],
    "retire_model": [],
    "predict_batch": [("score", "publish_predictions"), ("select_release", "score")],
    "monitor_model": [
        ("decide_action", "relabel_images"),
        ("detect_drift", "diagnose_drift"),
        ("detect_drift", "measure_performance"),
        ("detect_drift", "relabel_images"),
        ("detect_drift", "wait_for_drift"),
        ("diagnose_drift", "decide_action"),
        ("measure_performance", "decide_action"),
        ("measure_performance", "diagnose_drift"),
        ("measure_performance", "relabel_images"),
        ("measure_performance", "wait_for_drift"),
        ("profile_predictions", "detect_drift"),
        ("profile_predictions", "measure_performance"),
        ("relabel_images", "request_retraining"),
        ("wait_for_drift", "diagnose_drift"),
        ("wait_for_drift", "relabel_images"),
    ],
}
BORN = {
    "ingest_images": "curated_dataset",
    "train_model": "candidate_model",
    "import_model": "candidate_model",
    "promote_model": "certified_model",
    "deploy_model": "serving_model",
    "switch_release": "serving_model",
    "predict_batch": "batch_predictions",
    "monitor_model": "retraining_request",
}
CONSUMED = {
    "train_model": {"curated_dataset", "retraining_request"},
    "promote_model": {"candidate_model"},
    "deploy_model": {"certified_model"},
    "predict_batch": {"curated_dataset"},
}


def load(stem):
    return DagBag(ROOT / "dags" / f"{stem}.py").dags[f"digits.{stem}"]


@pytest.mark.parametrize("stem", EDGES)
def test_edges(stem):
    edges = [(task.task_id, after) for task in load(stem).tasks for after in task.downstream_task_ids]
    assert sorted(edges) == sorted(EDGES[stem])


@pytest.mark.parametrize("stem", BORN)
def test_one_asset_is_born(stem):
    outlets = [outlet.name for task in load(stem).tasks for outlet in task.outlets]
    assert outlets == [f"digits.{BORN[stem]}"]


@pytest.mark.parametrize("stem", EDGES.keys() - BORN.keys())
def test_upkeep_bears_no_asset(stem):
    assert [task.task_id for task in load(stem).tasks if task.outlets] == []


@pytest.mark.parametrize(
    "stem", ["release_quarantine", "forget_images", "import_model", "switch_release", "retire_model"]
)
def test_what_a_person_answers_for_runs_by_hand_only(stem):
    assert load(stem).schedule is None


@pytest.mark.parametrize("stem", CONSUMED)
def test_assets_start_it(stem):
    condition = load(stem).timetable.asset_condition
    started_by = {asset.name for asset in getattr(condition, "objects", [condition])}
    assert started_by == {f"digits.{noun}" for noun in CONSUMED[stem]}
