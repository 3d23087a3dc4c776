from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from include.contracts import BatchRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from tests.plugins.samples import BATCH, DAY
from tests.plugins.task_runs import make_run, run_task
from windhover.triggers.data import CompleteBatchTrigger


@pytest.fixture
def dag(load_dag):
    return load_dag("ingest_images")


@pytest.fixture
def landing(machine):
    folder = machine / "landing"
    folder.mkdir(parents=True)
    return folder


def deliver(landing, images=3):
    folder = landing / "digits" / DAY
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        (folder / "images" / f"{number}.png").touch()
    (folder / "_SUCCESS").touch()


def wait(dag, api_server, key=DAY, **resumed):
    return run_task(api_server, dag, "wait_for_batch", make_run(dag.dag_id, "scheduled", partition_key=key), **resumed)


def test_a_complete_delivery_is_returned_at_once(dag, api_server, landing):
    deliver(landing)
    assert wait(dag, api_server).state == "success"
    found = BatchRef.model_validate(api_server.returned["wait_for_batch"])
    assert found == BATCH.model_copy(update={"uri": f"{landing}/digits/{DAY}"})


def test_waits_without_a_worker_until_the_delivery_is_complete(dag, api_server, landing, project):
    outcome = wait(dag, api_server)
    assert outcome.state == "deferred"
    assert outcome.message.classpath == "windhover.triggers.data.CompleteBatchTrigger"
    assert outcome.message.trigger_timeout == timedelta(hours=36)
    trigger = CompleteBatchTrigger(**outcome.message.trigger_kwargs)
    assert trigger.serialize()[1] == {
        "project": project.model_dump(mode="json"), "landing": str(landing), "partition": DAY, "poke_interval": 2.0,
    }  # fmt: skip


def test_the_event_of_the_trigger_is_the_same_delivery(dag, api_server, landing):
    deliver(landing)
    wait(dag, api_server)
    at_once = api_server.returned.pop("wait_for_batch")

    assert wait(dag, api_server, next_method="take", next_kwargs={"event": at_once}).state == "success"
    assert api_server.returned["wait_for_batch"] == at_once


def test_a_run_without_a_partition_says_how_to_give_it_one(dag, api_server, landing):
    outcome = wait(dag, api_server, key=None)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ContractViolationError)
    assert "partition key" in str(outcome.error)


@pytest.mark.parametrize("key", ["yesterday", "../../etc", "2026-13-01", "20261120"])
def test_a_partition_that_is_no_day_is_refused(dag, api_server, landing, key):
    outcome = wait(dag, api_server, key=key)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ContractViolationError)


def test_a_missing_landing_folder_is_not_waited_for(dag, api_server, machine):
    outcome = wait(dag, api_server)
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ArtifactNotFoundError)


def test_a_delivery_that_never_comes_fails_and_is_not_waited_for_again(dag, api_server, landing):
    outcome = wait(dag, api_server, next_method="__fail__", next_kwargs={"error": "Trigger timeout"})
    assert outcome.state == "failed"
    assert isinstance(outcome.error, AirflowSensorTimeout)


def test_a_trigger_that_died_is_tried_again(dag, api_server, landing):
    outcome = wait(dag, api_server, next_method="__fail__", next_kwargs={"error": "Trigger failure"})
    assert outcome.state == "up_for_retry"
