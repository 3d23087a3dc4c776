import pytest

from include.contracts import DatasetRef, ShardRef, ShardReport, ValidationReport
from include.errors import DataQualityError, LeaseHeldError, ServiceUnavailableError
from include.ledger.quality import record_release
from tests.plugins.samples import BATCH, BROKEN, DATASET, DAY, SHARD, SHARD_REPORT, VALIDATION, digest
from tests.plugins.task_runs import make_run, run_task

COLLECTED = BATCH.model_copy(update={"collected": "digits/collected/1", "images": 5})


@pytest.fixture
def dag(load_dag, machine):
    return load_dag("ingest_images")


@pytest.mark.parametrize(("collected", "written"), [(COLLECTED, [COLLECTED]), (BATCH, [])])
def test_a_delivery_is_collected_and_cut_into_shards(dag, api_server, stages, machine, project, collected, written):
    calls = stages.replace("include.data.collection.collect_batch", collected)
    stages.replace("include.data.arrivals.plan_shards", lambda _, batch: [ShardRef(batch=batch, index=0, count=1)])
    api_server.returned["wait_for_batch"] = BATCH.model_dump(mode="json")

    outcome = run_task(api_server, dag, "collect_batch")

    assert (calls[0]["project"], calls[0]["batch"]) == (project, BATCH)
    assert (outcome.task.reads, outcome.task.writes) == ([BATCH], written)
    [shard] = api_server.returned["collect_batch"]
    assert ShardRef.model_validate(shard).batch == collected


def test_an_empty_delivery_is_not_tried_again(dag, api_server, stages):
    stages.replace("include.data.collection.collect_batch", DataQualityError("no image"))
    api_server.returned["wait_for_batch"] = BATCH.model_dump(mode="json")
    assert run_task(api_server, dag, "collect_batch").state == "failed"


def test_a_shard_is_ingested_under_its_index(dag, api_server, stages, machine, project):
    calls = stages.replace("include.data.ingestion.ingest_shard", SHARD_REPORT)
    api_server.returned["collect_batch"] = [SHARD.model_dump(mode="json")]

    outcome = run_task(api_server, dag, "ingest", map_index=0)

    assert outcome.state == "success"
    assert outcome.rendered_index == "shard 0"
    assert calls[0]["project"] == project
    assert calls[0]["shard"] == SHARD
    assert calls[0]["store"].root == str(machine / "store")
    assert calls[0]["ledger"].url.host == "127.0.0.1"
    assert ShardReport.model_validate(api_server.returned["ingest"]) == SHARD_REPORT


def validate(api_server, stages, dag, report):
    calls = stages.replace("include.data.validation.validate_partition", report)
    api_server.returned["ingest"] = [SHARD_REPORT.model_dump(mode="json")] * 2
    return run_task(api_server, dag, "validate_images"), calls


def test_all_shards_are_validated_together(dag, api_server, stages, ledger_connection):
    outcome, calls = validate(api_server, stages, dag, VALIDATION)

    assert outcome.state == "success"
    assert calls[0]["reports"] == [SHARD_REPORT, SHARD_REPORT]
    assert ValidationReport.model_validate(api_server.returned["validate_images"]) == VALIDATION


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"success": False, "expectations": (BROKEN,)}, id="expectation-broken"),
        pytest.param({"seen": 10, "accepted": 5, "quarantined": 5}, id="too-much-in-quarantine"),
    ],
)
def test_failed_validation_is_final_and_its_evidence_is_linked(dag, api_server, stages, ledger_connection, change):
    outcome, _ = validate(api_server, stages, dag, VALIDATION.model_copy(update=change))

    assert outcome.state == "failed"
    assert isinstance(outcome.error, DataQualityError)
    assert "validate_images" not in api_server.returned
    assert outcome.links == {
        "_link_data_docs": f"/windhover/reports/digits/reports/data_docs/{DAY}/index.html",
        "_link_quarantine": f"/windhover/quarantine/digits/{DAY}",
    }


def test_a_released_partition_passes(dag, api_server, stages, ledger_connection):
    report = VALIDATION.model_copy(update={"seen": 10, "accepted": 5, "quarantined": 5})
    record_release(ledger_connection, "digits", DAY, report.address, "ada", "checked by hand")
    assert validate(api_server, stages, dag, report)[0].state == "success"


@pytest.fixture
def publish(dag, api_server, stages, machine):
    """Give a function that publishes over what the partition held before; it returns the outcome and its calls."""

    def publish_over(held, run=None, answer=DATASET):
        held = {DAY: VALIDATION.model_copy(update={"digest": held})} if held else {}
        stages.replace("include.ledger.datasets.list_partitions", held)
        calls = stages.replace("include.data.publication.publish_partition", answer)
        api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json")
        return run_task(api_server, dag, "publish_dataset", run), calls

    return publish_over


def read_changed(api_server):
    return api_server.pushed["publish_dataset", "changed"]


def test_publishing_names_the_run_as_holder_of_the_lease(dag, api_server, publish):
    outcome, calls = publish(None, make_run(dag.dag_id, "backfill"))
    assert calls[0]["report"] == VALIDATION
    assert calls[0]["holder"] == "digits.ingest_images/backfill__1"
    assert DatasetRef.model_validate(api_server.returned["publish_dataset"]) == DATASET
    assert outcome.announced == []
    assert (outcome.task.reads, outcome.task.writes) == ([VALIDATION], [DATASET])


@pytest.mark.parametrize(
    ("held", "changed"), [(None, True), (digest("0"), True), (VALIDATION.digest, False)], ids=["new", "other", "same"]
)
def test_content_the_partition_held_before_is_no_change(api_server, publish, held, changed):
    publish(held)
    assert read_changed(api_server) is changed


def test_an_attempt_killed_after_publishing_does_not_hide_the_change(api_server, publish):
    assert publish(digest("0"), answer=ServiceUnavailableError("gone"))[0].state == "up_for_retry"
    publish(VALIDATION.digest)
    assert read_changed(api_server) is True


def test_a_cleared_run_is_held_against_what_it_published_itself(dag, api_server, publish):
    publish(None)
    publish(VALIDATION.digest, make_run(dag.dag_id, clear_number=1))
    assert read_changed(api_server) is False


def test_a_lease_that_is_held_is_waited_for(publish):
    assert publish(None, answer=LeaseHeldError("taken"))[0].state == "up_for_retry"


def announce(api_server, dag, run_type, changed=True):
    api_server.returned["publish_dataset"] = DATASET.model_dump(mode="json")
    api_server.pushed["publish_dataset", "changed"] = changed
    return run_task(api_server, dag, "announce_dataset", make_run(dag.dag_id, run_type, partition_key=DAY))


@pytest.mark.parametrize("run_type", ["scheduled", "manual", "asset_triggered"])
def test_a_new_dataset_is_announced_for_its_day(dag, api_server, run_type):
    [event] = announce(api_server, dag, run_type).announced
    assert event["dest_asset_key"]["name"] == "digits.curated_dataset"
    assert event["partition_key"] == DAY
    assert DatasetRef.model_validate(event["extra"]) == DATASET


@pytest.mark.parametrize(
    ("run_type", "changed"), [("backfill", True), ("backfill", False), ("manual", False), ("scheduled", False)]
)
def test_a_backfill_and_an_unchanged_day_announce_nothing(dag, api_server, run_type, changed):
    outcome = announce(api_server, dag, run_type, changed)
    assert outcome.state == "skipped"
    assert outcome.announced == []
    assert "announce_dataset" not in api_server.returned


def test_a_version_is_described_and_its_pages_are_linked(dag, api_server, stages):
    calls = stages.replace("include.data.datasheet.describe_dataset", "digits/reports/datasets/1/index.html")
    api_server.returned["publish_dataset"] = DATASET.model_dump(mode="json")

    outcome = run_task(api_server, dag, "describe_dataset")

    assert calls[0]["dataset"] == DATASET
    assert outcome.links == {
        "_link_datasheet": "/windhover/reports/digits/reports/datasets/1/index.html",
        "_link_eda": "/windhover/reports/digits/reports/datasets/1/eda.html",
    }
    assert outcome.task.reads == [DATASET]


def test_a_broken_contract_is_not_tried_again(dag, api_server, stages):
    calls = stages.replace("include.data.publication.publish_partition", DATASET)
    api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json") | {"seen": -1}
    assert run_task(api_server, dag, "publish_dataset").state == "failed"
    assert calls == []
