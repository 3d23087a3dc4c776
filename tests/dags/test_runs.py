"""Whole runs, task by task: what one task returns is what the next one reads."""

import pytest

from include.contracts import BatchReport, DatasetRef, ModelRef, ModelVersionRef, ReleaseRef, RetrainingRequest
from include.ledger.retrainings import list_retrainings
from tests.plugins import samples
from tests.plugins.task_runs import make_event, make_run, run_task
from windhover.assets import ProjectAssets

ASSETS = ProjectAssets("digits")


@pytest.fixture
def play_run(load_dag, api_server):
    """Give a function that runs the named tasks of one run in order and returns how each ended."""

    def play(stem, tasks, run_type="asset_triggered", event=None, **values):
        dag = load_dag(stem)
        events = [make_event(*event)] if event else []
        run = make_run(dag.dag_id, run_type, partition_key=samples.DAY, consumed_asset_events=events, **values)
        outcomes = {}
        for task_id in tasks:
            index = {"map_index": 0} if dag.task_dict[task_id].is_mapped else {}
            outcomes[task_id] = run_task(api_server, dag, task_id, run, **index)
            if index:
                api_server.returned[task_id] = [api_server.returned[task_id]]
        return outcomes

    return play


def test_a_delivery_becomes_an_announced_dataset(play_run, stages, machine, ledger_connection):
    images = machine / "landing" / "digits" / samples.DAY / "images"
    images.mkdir(parents=True)
    (images / "a.png").touch()
    (images.parent / "_SUCCESS").touch()
    stages.replace("include.data.collection.collect_batch", lambda _, batch, __: batch)
    stages.replace("include.data.ingestion.ingest_shard", samples.SHARD_REPORT)
    stages.replace("include.data.validation.validate_partition", samples.VALIDATION)
    stages.replace("include.data.publication.publish_partition", samples.DATASET)
    stages.replace("include.data.datasheet.describe_dataset", "digits/reports/datasets/1/index.html")

    tasks = ["wait_for_batch", "collect_batch", "ingest", "validate_images", "publish_dataset"]
    tasks += ["announce_dataset", "describe_dataset"]
    outcomes = play_run("ingest_images", tasks, "scheduled")

    assert [outcome.state for outcome in outcomes.values()] == ["success"] * 7
    [event] = outcomes["announce_dataset"].announced
    assert (DatasetRef.model_validate(event["extra"]), event["partition_key"]) == (samples.DATASET, samples.DAY)


def test_a_dataset_becomes_an_announced_candidate(play_run, stages, ledger_connection, tracking, api_server):
    api_server.returned["cross_validate"] = []
    stages.replace("include.training.selection.select_dataset", samples.DATASET)
    stages.replace("include.training.selection.override_training", lambda project, _: project)
    stages.replace("include.training.choice.choose_settings", lambda project, *_: project)
    stages.replace("include.training.fit.train_candidate", samples.MODEL)

    event = (ASSETS.curated_dataset, samples.DATASET.model_dump(mode="json"))
    outcomes = play_run("train_model", ["select_dataset", "train_candidate", "settle_training"], event=event)

    [announced] = outcomes["train_candidate"].announced
    assert ModelRef.model_validate(announced["extra"]) == samples.MODEL
    assert announced["partition_key"] == samples.DAY
    [training] = list_retrainings(ledger_connection, "digits")
    assert (training.request.trigger, training.outcome) == ("new_data", f"trained candidate {samples.MODEL.key[:19]}")


def test_a_candidate_becomes_an_announced_version(play_run, stages, ledger_connection, tracking):
    reports = {samples.MODEL: samples.EVALUATION, samples.CHAMPION: samples.evaluate(samples.CHAMPION, 0.9)}
    champion = samples.VERSION.model_copy(update={"model": samples.CHAMPION})
    stages.replace("include.evaluation.evaluate.evaluate_model", lambda model, *_: reports[model])
    stages.replace("include.registry.aliases.find_champion", champion)
    stages.replace("include.evaluation.compare.compare_models", (samples.BETTER,))
    stages.replace("include.registry.approval.needs_approval", False)
    stages.replace("include.registry.approval.describe_promotion", "")
    stages.replace("include.registry.register.register_model", samples.VERSION)
    stages.replace("include.registry.model_card.card_address", "digits/reports/model_card/3/index.html")

    event = (ASSETS.candidate_model, samples.MODEL.model_dump(mode="json"))
    tasks = [
        "select_candidate", "evaluate_candidate", "evaluate_champion", "decide_promotion", "approve_promotion",
        "register_model",
    ]  # fmt: skip
    outcomes = play_run("promote_model", tasks, event=event)

    [announced] = outcomes["register_model"].announced
    assert ModelVersionRef.model_validate(announced["extra"]) == samples.VERSION


def test_a_version_becomes_an_announced_release(play_run, stages, ledger_connection, tracking):
    stages.replace("include.registry.model_card.card_address", "digits/reports/model_card/3/index.html")
    stages.replace("include.deployment.package.package_model", samples.RELEASE)
    stages.replace("include.deployment.recommend.read_facts", None)
    stages.replace("include.deployment.recommend.recommend_strategy", samples.STRATEGY)
    stages.replace("include.deployment.rollout.start", samples.ROLLOUT)
    stages.replace("include.deployment.rollout.open_evidence", None)
    stages.replace("include.deployment.rollout.watch_rollout", samples.PROMOTED)
    stages.replace("include.deployment.rollout.complete_rollout", None)
    stages.replace("include.registry.aliases.crown_champion", None)
    stages.replace("include.deployment.notes.write_release_notes", "digits/reports/release_notes/1/index.html")

    event = (ASSETS.certified_model, samples.VERSION.model_dump(mode="json"))
    tasks = ["package_model", "choose_strategy", "roll_out", "judge_rollout", "complete_rollout", "write_release_notes"]
    outcomes = play_run("deploy_model", tasks, event=event)

    [announced] = outcomes["complete_rollout"].announced
    assert ReleaseRef.model_validate(announced["extra"]) == samples.RELEASE


def test_a_dataset_is_answered_and_the_answers_are_announced(play_run, stages, ledger_connection):
    stages.replace("include.deployment.batch_plan.select_release", samples.RELEASE)
    stages.replace("include.deployment.batch_plan.plan_batch", [samples.BATCH_SHARD])
    stages.replace("include.deployment.batch.score_shard", "digits/batch_predictions/x.parquet")
    stages.replace("include.deployment.batch.publish_batch", samples.BATCH_REPORT)

    event = (ASSETS.curated_dataset, samples.DATASET.model_dump(mode="json"))
    outcomes = play_run("predict_batch", ["select_release", "score", "publish_predictions"], event=event)

    assert [outcome.state for outcome in outcomes.values()] == ["success"] * 3
    [announced] = outcomes["publish_predictions"].announced
    assert BatchReport.model_validate(announced["extra"]) == samples.BATCH_REPORT
    assert announced["partition_key"] == samples.DAY


def test_a_drifted_window_becomes_one_announced_request(play_run, stages, ledger_connection):
    stages.replace("include.monitoring.profile.profile_predictions", samples.PROFILE)
    stages.replace("include.monitoring.drift.detect_drift", samples.DRIFT)
    stages.replace("include.monitoring.performance.measure_performance", samples.PERFORMANCE)
    stages.replace(
        "include.monitoring.diagnosis.diagnose",
        lambda _, episode, *__: samples.DIAGNOSIS.model_copy(update={"episode": episode}),
    )
    stages.provide("include.monitoring.decision", "override_action", None)
    stages.replace(
        "include.monitoring.decision.decide_action",
        lambda diagnosis, *_, missed: samples.DECISION.model_copy(update={"episode": diagnosis.episode}),
    )

    tasks = ["profile_predictions", "detect_drift", "measure_performance", "wait_for_drift", "diagnose_drift"]
    tasks += ["decide_action", "relabel_images", "request_retraining"]
    outcomes = play_run("monitor_model", tasks, "manual")

    assert [outcome.state for outcome in outcomes.values()] == ["success"] * 6 + ["skipped", "success"]
    [announced] = outcomes["request_retraining"].announced
    request = RetrainingRequest.model_validate(announced["extra"])
    assert (request.drift, request.reason.partition(": ")[2]) == (samples.DRIFT, "camera: blurred lens")
