import pytest

from include.contracts import DatasetRef, ShardReport, ValidationReport
from include.errors import DataQualityError, LeaseHeldError
from tests.plugins.samples import BROKEN, DATASET, DAY, SHARD, SHARD_REPORT, VALIDATION
from tests.plugins.task_runs import make_run, run_task


@pytest.fixture
def dag(load_dag, machine):
    return load_dag("ingest_images")


def test_a_shard_is_ingested_under_its_index(dag, api_server, stages, machine, project):
    calls = stages.replace("include.data.ingestion.ingest_shard", SHARD_REPORT)
    api_server.returned["wait_for_batch"] = [SHARD.model_dump(mode="json")]

    outcome = run_task(api_server, dag, "ingest", map_index=0)

    assert outcome.state == "success"
    assert outcome.rendered_index == "shard 0"
    assert calls[0]["project"] == project
    assert calls[0]["shard"] == SHARD
    assert calls[0]["landing"] == machine / "landing"
    assert calls[0]["store"].root == machine / "store"
    assert ShardReport.model_validate(api_server.returned["ingest"]) == SHARD_REPORT


def validate(api_server, stages, dag, report):
    calls = stages.replace("include.data.validation.validate_partition", report)
    api_server.returned["ingest"] = [SHARD_REPORT.model_dump(mode="json")] * 2
    return run_task(api_server, dag, "validate_images"), calls


def test_all_shards_are_validated_together(dag, api_server, stages):
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
def test_failed_validation_is_final_and_its_evidence_is_linked(dag, api_server, stages, change):
    outcome, _ = validate(api_server, stages, dag, VALIDATION.model_copy(update=change))

    assert outcome.state == "failed"
    assert isinstance(outcome.error, DataQualityError)
    assert "validate_images" not in api_server.returned
    assert outcome.links == {
        "_link_data_docs": f"/windhover/reports/digits/reports/data_docs/{DAY}/index.html",
        "_link_quarantine": f"/windhover/quarantine/digits/{DAY}",
    }


def test_publishing_names_the_run_as_holder_of_the_lease(dag, api_server, stages):
    calls = stages.replace("include.data.publication.publish_partition", DATASET)
    api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json")

    outcome = run_task(api_server, dag, "publish_dataset", make_run(dag.dag_id, "backfill"))

    assert calls[0]["report"] == VALIDATION
    assert calls[0]["holder"] == "digits.ingest_images/backfill__1"
    assert DatasetRef.model_validate(api_server.returned["publish_dataset"]) == DATASET
    assert outcome.announced == []


def test_a_lease_that_is_held_is_waited_for(dag, api_server, stages):
    stages.replace("include.data.publication.publish_partition", LeaseHeldError("taken"))
    api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json")
    assert run_task(api_server, dag, "publish_dataset").state == "up_for_retry"


@pytest.mark.parametrize("run_type", ["scheduled", "manual", "asset_triggered"])
def test_a_new_dataset_is_announced_for_its_day(dag, api_server, run_type):
    api_server.returned["publish_dataset"] = DATASET.model_dump(mode="json")

    outcome = run_task(api_server, dag, "announce_dataset", make_run(dag.dag_id, run_type, partition_key=DAY))

    [event] = outcome.announced
    assert event["dest_asset_key"]["name"] == "digits.curated_dataset"
    assert event["partition_key"] == DAY
    assert DatasetRef.model_validate(event["extra"]) == DATASET


def test_a_backfill_announces_nothing(dag, api_server):
    api_server.returned["publish_dataset"] = DATASET.model_dump(mode="json")
    outcome = run_task(api_server, dag, "announce_dataset", make_run(dag.dag_id, "backfill", partition_key=DAY))
    assert outcome.state == "skipped"
    assert outcome.announced == []
    assert "announce_dataset" not in api_server.returned


def test_a_broken_contract_is_not_tried_again(dag, api_server, stages):
    calls = stages.replace("include.data.publication.publish_partition", DATASET)
    api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json") | {"seen": -1}
    assert run_task(api_server, dag, "publish_dataset").state == "failed"
    assert calls == []
