from datetime import UTC, datetime, timedelta

import pytest

from include.contracts import DatasetRef, FoldReport, ModelRef, RetrainingRequest, StudyReport
from include.errors import ContractViolationError, ServiceUnavailableError
from include.ledger.retrainings import list_retrainings
from tests.plugins.samples import DATASET, MODEL
from tests.plugins.task_runs import NOW, make_event, make_run, run_task
from windhover.assets import ProjectAssets

ASSETS = ProjectAssets("digits")
REQUEST = RetrainingRequest(project="digits", episode=7, occasion="episode 7", reason="drift", mode="replay")
EXTRAS = {
    "digits.curated_dataset": DATASET.model_dump(mode="json"),
    "digits.retraining_request": REQUEST.model_dump(mode="json") | {"from_rest_api": True},
}
FOLDS = [FoldReport(fold=fold, images=9, accuracy=0.9, loss=0.3) for fold in range(2)]


@pytest.fixture
def dag(load_dag, ledger_connection, tracking, stages):
    stages.replace("include.training.choice.choose_settings", lambda project, *_: project)
    return load_dag("train_model")


@pytest.mark.parametrize(
    ("run_type", "asset", "required", "kept"),
    [
        pytest.param("asset_triggered", ASSETS.curated_dataset, False, ("new_data", "full"), id="new-images"),
        pytest.param("asset_triggered", ASSETS.retraining_request, True, ("drift", "replay"), id="drift-asked"),
        pytest.param("manual", None, True, ("demand", "full"), id="by-hand"),
    ],
)
def test_training_is_required_when_somebody_asked_for_it(
    dag, api_server, stages, ledger_connection, run_type, asset, required, kept
):
    calls = stages.replace("include.training.selection.select_dataset", DATASET)
    events = [make_event(asset, EXTRAS[asset.name])] if asset else []

    run_task(api_server, dag, "select_dataset", make_run(dag.dag_id, run_type, consumed_asset_events=events))

    assert calls[0]["required"] is required
    [training] = list_retrainings(ledger_connection, "digits")
    assert (training.request.trigger, api_server.pushed["select_dataset", "mode"]) == kept
    assert training.run == f"{run_type}__1"
    assert DatasetRef.model_validate(api_server.returned["select_dataset"]) == DATASET


def test_nothing_newly_labelled_skips(dag, api_server, stages):
    stages.replace("include.training.selection.select_dataset", None)
    outcome = run_task(api_server, dag, "select_dataset")
    assert outcome.state == "skipped"
    assert "select_dataset" not in api_server.returned


@pytest.mark.parametrize(
    ("chosen", "as_of"),
    [
        pytest.param(None, None, id="empty"),
        pytest.param("2026-11-01T02:00:00+02:00", datetime(2026, 11, 1, tzinfo=UTC), id="offset"),
        pytest.param("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC), id="utc"),
    ],
)
def test_what_was_known_then_is_selected(dag, api_server, stages, machine, chosen, as_of):
    calls = stages.replace("include.training.selection.select_dataset", DATASET)
    run_task(api_server, dag, "select_dataset", make_run(dag.dag_id, "manual", conf={"as_of": chosen}))
    assert calls[0]["as_of"] == as_of
    assert calls[0]["store"].root == str(machine / "store")


def test_the_moment_is_no_training_setting(dag, api_server, stages, project):
    calls = stages.replace("include.training.fit.train_candidate", MODEL)
    train(dag, api_server, make_run(dag.dag_id, "manual", conf={"as_of": "2026-11-01T00:00:00Z"}))
    assert calls[0]["project"] == project


def train(dag, api_server, run=None, folds=()):
    api_server.returned["select_dataset"] = DATASET.model_dump(mode="json")
    api_server.returned["cross_validate"] = list(folds)
    return run_task(api_server, dag, "train_candidate", run)


def test_trains_with_the_project_file_when_the_form_is_empty(dag, api_server, stages, project):
    calls = stages.replace("include.training.fit.train_candidate", MODEL)

    outcome = train(dag, api_server, make_run(dag.dag_id, partition_key="2026-11-19"))

    assert calls[0]["project"] == project
    assert calls[0]["dataset"] == DATASET
    assert calls[0]["run_name"] == "asset_triggered__1"
    assert (outcome.task.reads, outcome.task.writes) == ([DATASET], [MODEL])
    [event] = outcome.announced
    assert event["partition_key"] == "2026-11-19"
    assert ModelRef.model_validate(event["extra"]) == MODEL
    assert ModelRef.model_validate(api_server.returned["train_candidate"]) == MODEL
    assert outcome.links == {"_link_mlflow_run": "http://mlflow:5500/#/runs/run1"}


def test_the_form_overrides_the_project_file(dag, api_server, stages):
    calls = stages.replace("include.training.fit.train_candidate", MODEL)
    conf = {"epochs": 3, "learning_rate": 0.5, "seed": 0}

    outcome = train(dag, api_server, make_run(dag.dag_id, "manual", conf=conf))

    training = calls[0]["project"].training
    assert (training.epochs, training.learning_rate, training.seed) == (3, 0.5, 0)
    assert outcome.task.overrides == conf | {"mode": None}


def test_a_run_by_hand_without_a_day_announces_for_today(dag, api_server, stages):
    stages.replace("include.training.fit.train_candidate", MODEL)
    before = f"{datetime.now(UTC):%Y-%m-%d}"
    [event] = train(dag, api_server, make_run(dag.dag_id, "manual")).announced
    assert event["partition_key"] in {before, f"{datetime.now(UTC):%Y-%m-%d}"}


def test_an_impossible_setting_is_refused_before_training(dag, api_server, stages):
    calls = stages.replace("include.training.fit.train_candidate", MODEL)
    run = make_run(dag.dag_id, "manual", conf={"epoch": 3})
    outcome = train(dag, api_server, run)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ContractViolationError)
    assert calls == []


def test_mlflow_that_does_not_answer_is_tried_again(dag, api_server, stages):
    stages.replace("include.training.fit.train_candidate", ServiceUnavailableError("no answer"))
    outcome = train(dag, api_server)
    assert outcome.state == "up_for_retry"
    assert outcome.announced == []


def test_of_several_events_any_request_counts(dag, api_server, stages):
    calls = stages.replace("include.training.selection.select_dataset", DATASET)
    events = [
        make_event(ASSETS.curated_dataset, {}, NOW),
        make_event(ASSETS.retraining_request, {}, NOW - timedelta(hours=1)),
    ]
    run_task(api_server, dag, "select_dataset", make_run(dag.dag_id, consumed_asset_events=events))
    assert calls[0]["required"] is True


def test_an_event_that_a_person_created_without_content_is_a_demand(dag, api_server, stages, ledger_connection):
    stages.replace("include.training.selection.select_dataset", DATASET)
    run_task(
        api_server,
        dag,
        "select_dataset",
        make_run(dag.dag_id, consumed_asset_events=[make_event(ASSETS.retraining_request, {"from_rest_api": True})]),
    )
    assert [one.request.trigger for one in list_retrainings(ledger_connection, "digits")] == ["demand"]


def test_the_forms_mode_is_recorded_and_handed_on(dag, api_server, stages):
    stages.replace("include.training.selection.select_dataset", DATASET)
    run_task(api_server, dag, "select_dataset", make_run(dag.dag_id, "manual", conf={"mode": "sliding_window"}))
    assert api_server.pushed["select_dataset", "mode"] == "sliding_window"


def test_the_mode_handed_on_is_how_the_candidate_is_trained(dag, api_server, stages):
    calls = stages.replace("include.training.fit.train_candidate", MODEL)
    api_server.pushed["select_dataset", "mode"] = "sliding_window"
    train(dag, api_server)
    assert calls[0]["project"].training.mode == "sliding_window"


def test_a_warm_start_begins_from_the_champion(dag, api_server, stages, project):
    begun = project.model_copy(update={"title": "begun"})
    stages.replace("include.training.warm_start.begin_from_champion", lambda *_: begun)
    calls = stages.replace("include.training.fit.train_candidate", MODEL)
    api_server.pushed["select_dataset", "mode"] = "warm_start"
    train(dag, api_server)
    assert calls[0]["project"] == begun


@pytest.mark.parametrize(("model", "outcome"), [(MODEL, "trained candidate"), (None, "no candidate came of it")])
def test_the_way_is_free_again_whatever_became_of_the_training(
    dag, api_server, stages, ledger_connection, model, outcome
):
    stages.replace("include.training.selection.select_dataset", DATASET)
    run_task(api_server, dag, "select_dataset", make_run(dag.dag_id, "manual"))
    if model:
        api_server.returned["train_candidate"] = model.model_dump(mode="json")
    assert run_task(api_server, dag, "settle_training", make_run(dag.dag_id, "manual")).state == "success"
    [training] = list_retrainings(ledger_connection, "digits")
    assert training.outcome.startswith(outcome)
    assert training.ended_at


def test_a_trial_task_works_until_its_run_has_used_its_minutes(dag, api_server, stages, project):
    study = StudyReport(study="digits/a", completed=3, pruned=0, failed=0)
    calls = stages.replace("include.training.trials.run_trials", study)
    api_server.returned["select_dataset"] = DATASET.model_dump(mode="json")
    dag.task_dict["run_trials"] = make_mapped(dag, "run_trials", worker=1)

    outcome = run_task(api_server, dag, "run_trials")

    assert (calls[0]["project"], calls[0]["dataset"]) == (project, DATASET)
    assert calls[0]["deadline"] == NOW + timedelta(minutes=project.tuning.minutes)
    assert StudyReport.model_validate(api_server.returned["run_trials"]) == study
    assert outcome.task.reads == [DATASET]


def test_a_fold_task_uses_the_chosen_settings(dag, api_server, stages, project):
    chosen = project.model_copy(update={"title": "chosen"})
    stages.replace("include.training.choice.choose_settings", chosen)
    calls = stages.replace("include.training.folds.cross_validate", FOLDS[1])
    api_server.returned["select_dataset"] = DATASET.model_dump(mode="json")
    dag.task_dict["cross_validate"] = make_mapped(dag, "cross_validate", fold=1)

    run_task(api_server, dag, "cross_validate")

    assert (calls[0]["project"], calls[0]["fold"]) == (chosen, 1)
    assert FoldReport.model_validate(api_server.returned["cross_validate"]) == FOLDS[1]


def test_the_candidate_is_trained_with_the_chosen_settings_and_carries_the_folds(dag, api_server, stages, project):
    chosen = project.model_copy(update={"title": "chosen"})
    stages.replace("include.training.choice.choose_settings", chosen)
    trained = stages.replace("include.training.fit.train_candidate", MODEL)
    logged = stages.replace("include.training.folds.log_folds", {})

    outcome = train(dag, api_server, folds=[fold.model_dump(mode="json") for fold in FOLDS])

    assert outcome.state == "success"
    assert trained[0]["project"] == chosen
    assert (logged[0]["reports"], logged[0]["run_id"]) == (FOLDS, MODEL.run_id)


def make_mapped(dag, task_id, **values):
    """One task of those that a mapping makes, as the worker sees it."""
    mapped = dag.task_dict[task_id]
    return mapped.unmap({**mapped.partial_kwargs, **values})
