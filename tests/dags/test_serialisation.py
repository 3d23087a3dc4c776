"""Every DAG survives the way through Airflow's database."""

import json
from datetime import UTC, datetime

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from windhover.defaults import RETRY_UNLESS_PERMANENT

LINKS = {
    "ingest_images": {
        "validate_images": {"Data Docs", "Quarantine"},
        "describe_dataset": {"Datasheet", "EDA"},
    },
    "release_quarantine": {"release_quarantine": {"Data Docs", "Quarantine"}},
    "forget_images": {},
    "maintain_platform": {},
    "train_model": {"train_candidate": {"MLflow run"}},
    "import_model": {"import_model": {"MLflow run"}},
    "promote_model": {
        "evaluate_candidate": {"Evaluation", "MLflow run"},
        "evaluate_champion": {"Evaluation", "MLflow run"},
        "explain_candidate": {"Explanations", "MLflow run"},
        "approve_promotion": {"Evaluation", "Explanations", "MLflow run"},
        "register_model": {"Model card"},
    },
    "deploy_model": {
        "package_model": {"Model card"},
        "choose_strategy": {"Rollouts"},
        "roll_out": {"Rollouts"},
        "judge_rollout": {"Endpoint", "Rollouts"},
        "complete_rollout": {"Endpoint", "Rollouts"},
        "write_release_notes": {"Release notes"},
        "roll_back": {"Endpoint", "Rollouts", "Release notes"},
    },
    "switch_release": {"switch_release": {"Endpoint", "Rollouts"}},
    "predict_batch": {"select_release": {"Rollouts"}, "publish_predictions": {"Predictions"}},
    "monitor_model": {
        "detect_drift": {"Drift report"},
        "wait_for_drift": {"Drift report"},
        "relabel_images": {"Contact sheet"},
        "diagnose_drift": {"Drift report"},
    },
}


@pytest.fixture
def through_the_database(load_dag):
    """Give a function that returns a DAG as the scheduler and the web server see it."""

    def send(stem):
        return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(load_dag(stem)))))

    return send


@pytest.mark.parametrize("stem", LINKS)
def test_every_link_is_a_button_on_its_task(through_the_database, stem):
    links = {task.task_id: set(task.extra_links) for task in through_the_database(stem).tasks}
    assert {task_id: names for task_id, names in links.items() if names} == LINKS[stem]


@pytest.mark.parametrize("stem", LINKS)
def test_tasks_edges_and_outlets_survive(load_dag, through_the_database, stem):
    ours, theirs = load_dag(stem), through_the_database(stem)
    for task in ours.tasks:
        sent = theirs.get_task(task.task_id)
        assert sent.downstream_task_ids == task.downstream_task_ids
        assert [outlet.name for outlet in sent.outlets] == [outlet.name for outlet in task.outlets]
        assert sent.retries == PATIENT.get(task.task_id, RETRIES)
        assert sent.trigger_rule == task.trigger_rule
    assert theirs.doc_md == ours.doc_md
    assert list(theirs.params) == list(ours.params)


def test_days_are_answered_when_they_are_announced_and_by_backfills(through_the_database):
    timetable = through_the_database("predict_batch").timetable
    first, last = datetime(2026, 1, 30, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    runs = timetable.iter_partition_dagrun_infos(earliest=first, latest=last)
    assert [run.partition_key for run in runs] == ["2026-01-30", "2026-01-31", "2026-02-01"]
    assert timetable.partitioned
    assert timetable.periodic
    assert {asset.name for asset, _ in timetable.asset_condition.iter_assets()} == {"digits.curated_dataset"}


RETRIES = 3
PATIENT = {"settle_training": 30}


@pytest.mark.parametrize("stem", LINKS)
def test_a_second_parse_gives_the_same_bytes(load_dag, stem):
    # A DAG that serialises differently every time gets a new version at every parse.
    dag = load_dag(stem)
    load_dag.cache_clear()
    assert DagSerialization.to_dict(load_dag(stem)) == DagSerialization.to_dict(dag)


def test_only_errors_that_may_pass_are_retried(load_dag):
    policies = {task.task_id: task.retry_policy for task in load_dag("deploy_model").tasks}
    assert set(map(id, policies.values())) == {id(RETRY_UNLESS_PERMANENT)}
