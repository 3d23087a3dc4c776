"""What OpenLineage is told, by Airflow's own listener, as it lands in the file of events."""

import json

import pytest
from airflow.providers.openlineage.plugins.listener import OpenLineageListener
from airflow.sdk.listener import get_listener_manager

from deploy.airflow_environment import write_transport
from include.settings import load_settings
from tests.plugins.samples import BATCH, BATCH_REPORT, BROKEN, DATASET, DAY, MODEL, SHARD_REPORT, VALIDATION, digest
from tests.plugins.task_runs import make_run, run_task
from windhover.lineage import describe_input, describe_output, name_place


@pytest.fixture
def read_events(tmp_path, monkeypatch):
    """Let Airflow's listener append events to a file; give a function that reads them, by task and kind."""
    file = tmp_path / "events.ndjson"
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", write_transport(file))
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD", "True")
    listener, manager = OpenLineageListener(), get_listener_manager()
    manager.add_listener(listener)

    def read():
        events = [json.loads(line) for line in file.read_text().splitlines()]
        return {(event["job"]["name"].rpartition(".")[2], event["eventType"]): event for event in events}

    yield read
    manager.pm.unregister(listener)


def test_a_publication_says_what_it_read_and_wrote(read_events, load_dag, api_server, stages, machine):
    stages.replace("include.ledger.datasets.list_partitions", {})
    stages.replace("include.data.publication.publish_partition", DATASET)
    api_server.returned["validate_images"] = VALIDATION.model_dump(mode="json")
    dag = load_dag("ingest_images")

    run_task(api_server, dag, "publish_dataset", make_run(dag.dag_id, "scheduled", partition_key=DAY))

    event = read_events()["publish_dataset", "COMPLETE"]
    [read], [written] = event["inputs"], event["outputs"]
    store = machine / "store"
    assert (read["namespace"], read["name"]) == ("file", str(store / VALIDATION.address))
    assert (written["namespace"], written["name"]) == ("file", str(store / DATASET.address))
    assert written["facets"]["version"]["datasetVersion"] == "1"
    assert "digest" in {field["name"] for field in written["facets"]["schema"]["fields"]}
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == DATASET.images
    assert read["inputFacets"]["dataQualityMetrics"]["rowCount"] == VALIDATION.accepted


def test_a_failed_validation_says_which_expectation_was_broken(
    read_events, load_dag, api_server, stages, ledger_connection
):
    report = VALIDATION.model_copy(update={"success": False, "expectations": (BROKEN,)})
    stages.replace("include.data.validation.validate_partition", report)
    api_server.returned["ingest"] = [SHARD_REPORT.model_dump(mode="json")]

    assert run_task(api_server, load_dag("ingest_images"), "validate_images").state == "failed"

    shard, validated = read_events()["validate_images", "FAIL"]["inputs"]
    assert shard["name"].endswith(SHARD_REPORT.address)
    [assertion] = validated["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["assertion"], assertion["column"]) == (BROKEN.expectation, BROKEN.column)
    assert (assertion["success"], assertion["severity"]) == (False, "error")


def test_a_listener_that_cannot_write_disturbs_no_task(read_events, load_dag, api_server, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", write_transport(tmp_path / "nowhere" / "events.ndjson"))
    api_server.returned["publish_dataset"] = DATASET.model_dump(mode="json")
    api_server.pushed["publish_dataset", "changed"] = True
    outcome = run_task(api_server, load_dag("ingest_images"), "announce_dataset")
    assert outcome.state == "success"
    assert len(outcome.announced) == 1


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("/data/store/digits/images.lance", "file", "/data/store/digits/images.lance"),
        ("file:///landing/2026-11-20", "file", "/landing/2026-11-20"),
        ("s3://bucket/digits/images.lance", "s3://bucket", "digits/images.lance"),
        ("https://example.org/lists/a.csv", "https://example.org", "lists/a.csv"),
        ("torchvision://CIFAR10", "torchvision", "CIFAR10"),
    ],
)
def test_places_are_named_as_the_specification_says(uri, namespace, name):
    assert name_place(uri) == (namespace, name)


def test_a_delivery_is_where_it_was_collected_to(machine):
    collected = BATCH.model_copy(update={"collected": "digits/collected/1"})
    settings = load_settings()
    assert describe_input(BATCH, settings).name == BATCH.uri
    assert describe_output(collected, settings).name == str(machine / "store" / "digits/collected/1")


def test_a_model_is_the_run_that_trained_it_in_the_version_of_its_weights(machine):
    model = describe_output(MODEL, load_settings())
    assert (model.namespace, model.name) == ("http://mlflow:5500", "digits/run1")
    assert model.facets["version"].datasetVersion == digest("e")


def test_answers_to_a_day_are_an_output_with_their_digest_and_count(machine):
    answers = describe_output(BATCH_REPORT, load_settings())
    assert answers.name == str(machine / "store" / BATCH_REPORT.address)
    assert answers.facets["version"].datasetVersion == BATCH_REPORT.digest
    assert answers.outputFacets["outputStatistics"].rowCount == BATCH_REPORT.images
