"""A task that fails for good opens one incident, whatever it failed with; one that recovers resolves it."""

import asyncio
import json

import pytest
from airflow._shared.module_loading import accepts_context, import_string
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.execution_time import task_runner
from structlog import get_logger

from include.errors import (
    ContractViolationError,
    DataQualityError,
    ParityError,
    RolloutFailedError,
    ServiceUnavailableError,
    StaleAttemptError,
)
from include.ledger.incidents import find_incident, list_incidents
from tests.plugins.task_runs import make_run, play, start_task
from windhover.defaults import dag_defaults
from windhover.notifications import WindhoverNotifier


class Failing(BaseOperator):
    """Raises what it is told to."""

    def __init__(self, *, error=None, **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def execute(self, context):
        if self.error:
            raise self.error


@pytest.fixture
def run(api_server, project, ledger_connection):
    """Run a task of `train_model` with Airflow's own runner, as its last attempt unless told otherwise."""

    def execute(error=None, run_id="run 1", attempt=4, map_index=-1, task_id="train_candidate"):
        with DAG("digits.train_model", schedule=None, **dag_defaults(project)) as dag:
            Failing(task_id=task_id, error=error)
        described = make_run(dag.dag_id).model_copy(update={"run_id": run_id})
        ti, context = start_task(dag, task_id, described, map_index=map_index)
        ti.try_number = attempt
        ti._ti_context_from_server.should_retry = attempt < 4
        with play(api_server):
            state, _, raised = task_runner.run(ti, context, log := get_logger("task"))
            context["exception"] = raised
            task_runner.finalize(ti, state, context, log, raised)
        return state.value

    return execute


@pytest.mark.parametrize(
    ("error", "kind", "severity", "handling"),
    [
        (DataQualityError("too many in quarantine"), "failed_gate", "minor", "quarantine"),
        (ParityError("differs by 0.1"), "failed_gate", "info", "fall_back"),
        (ContractViolationError("no such setting"), "failed_task", "major", "escalate"),
        (ServiceUnavailableError("MLflow is away"), "failed_task", "major", "retry"),
        (MemoryError("40 GB"), "failed_task", "minor", "shrink_batch"),
        (ZeroDivisionError("division by zero"), "failed_task", "major", "retry"),
    ],
)
def test_a_failed_task_is_an_incident(run, ledger, project, error, kind, severity, handling):
    assert run(error) == "failed"
    (found,) = list_incidents(ledger, "digits", 9)
    assert (found.kind, found.severity, found.key) == (kind, severity, "task/train_model/train_candidate")
    assert found.title == f"train_model/train_candidate failed: {error}"
    assert (found.owner, found.runbook) == (project.owner, "docs/runbook.md#train_model")
    assert found.evidence == {
        "error": type(error).__name__, "said": str(error), "handling": handling, "attempt": 4, "map_index": -1,
        "runs": ["run 1"],
    }  # fmt: skip
    assert found.timeline[-1].who == "digits.train_model/run 1"


@pytest.mark.parametrize(
    ("error", "task_id"),
    [(RolloutFailedError("taken back"), "judge_rollout"), (StaleAttemptError("overtaken"), "train_candidate")],
)
def test_what_somebody_else_settles_is_none(run, ledger, error, task_id):
    assert run(error, task_id=task_id) == "failed"
    assert list_incidents(ledger, None, 9) == []


def test_a_rollout_that_fails_where_nobody_judges_is_one(run, ledger):
    assert run(RolloutFailedError("frozen"), task_id="roll_out") == "failed"
    assert [one.key for one in list_incidents(ledger, None, 9)] == ["task/train_model/roll_out"]


def test_what_is_tried_again_is_none_yet(run, ledger):
    assert run(ServiceUnavailableError("away"), attempt=1) == "up_for_retry"
    assert list_incidents(ledger, None, 9) == []


def test_several_runs_and_shards_are_one_incident(run, ledger):
    for name, shard in (("run 2", 0), ("run 1", -1), ("run 2", 1)):
        run(ContractViolationError("no such setting"), run_id=name, map_index=shard)
    (found,) = list_incidents(ledger, None, 9)
    assert (found.seen, found.evidence["runs"]) == (3, ["run 1", "run 2[0]", "run 2[1]"])


def test_a_shard_that_recovers_says_nothing_of_another(run, ledger):
    run(ContractViolationError("no such setting"), map_index=0)
    assert run(map_index=1, attempt=2) == "success"
    assert [one.state for one in list_incidents(ledger, None, 9)] == ["open"]
    assert run(map_index=0, attempt=5) == "success"
    assert [one.state for one in list_incidents(ledger, None, 9)] == ["resolved"]


def test_a_run_that_recovers_resolves_it(run, ledger):
    run(ContractViolationError("no such setting"))
    (found,) = list_incidents(ledger, None, 9)
    assert run(run_id="run 2", attempt=2) == "success"
    assert run(run_id="run 1", attempt=1) == "success"
    assert find_incident(ledger, found.id).state == "open"
    assert run(run_id="run 1", attempt=5) == "success"
    ended = find_incident(ledger, found.id)
    assert (ended.state, ended.resolved_by) == ("resolved", "digits.train_model/run 1")
    assert ended.timeline[-1].what == "attempt 5 of the run succeeded"


def test_one_of_several_runs_that_recovers_leaves_it_to_people(run, ledger):
    for name in ("run 1", "run 2"):
        run(ContractViolationError("no such setting"), run_id=name)
    run(run_id="run 1", attempt=5)
    (found,) = list_incidents(ledger, None, 9)
    assert (found.state, found.timeline[-1].kind) == ("open", "note")
    assert "others have failed" in found.timeline[-1].what


def test_hostile_messages_are_kept_as_far_as_they_can_be(run, ledger):
    run(ContractViolationError("a\0b \ud800 " + "x" * 10_000 + "\nsecond line"))
    (found,) = list_incidents(ledger, None, 9)
    assert found.title.startswith("train_model/train_candidate failed: ab ? xxx")
    assert len(found.title) < 400


def test_without_a_ledger_the_task_fails_as_it_would_and_one_line_says_so(run, machine, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_WINDHOVER_LEDGER", "postgres://nobody:x@127.0.0.1:1/windhover")
    assert run(ContractViolationError("no such setting")) == "failed"
    assert run(attempt=2) == "success"
    said = [record for record in caplog.records if record.name == "windhover.notifications"]
    assert ["does not answer" in record.getMessage() for record in said] == [True, True]
    assert not any(record.exc_info for record in said)


def test_a_process_that_was_killed_is_an_incident(api_server, project, ledger_connection, ledger):
    """Airflow's DAG processor calls back for a task whose process is gone; there is no error then."""
    with DAG("digits.train_model", schedule=None, **dag_defaults(project)) as dag:
        task = Failing(task_id="train_candidate")
    _, context = start_task(dag, "train_candidate", make_run(dag.dag_id))
    (callback,) = task.on_failure_callback
    callback(context)
    (found,) = list_incidents(ledger, None, 9)
    assert (found.severity, found.evidence["error"]) == ("minor", "killed")
    assert found.title.endswith("its process was killed")


def late(state="running", run_type="scheduled"):
    run = {"dag_id": "digits.monitor_model", "dag_run_id": "scheduled 1", "state": state, "run_type": run_type}
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": "2026-03-02T12:00:00Z"}}


@pytest.fixture
def miss_deadline(project, ledger_connection):
    """Do what Airflow's triggerer does once a deadline is missed."""

    def miss(context, people_hours=0):
        alert = dag_defaults(project, people_hours=people_hours)["deadline"]
        data = json.loads(json.dumps(alert.callback.serialize()))
        asyncio.run(_call(import_string(data["path"]), data["kwargs"], context))

    return miss


async def _call(callback, kwargs, context):
    assert accepts_context(callback)
    await callback(**kwargs, context=context)


def test_a_late_run_is_one_incident_however_many_deadlines_it_misses(miss_deadline, ledger, project):
    miss_deadline(late())
    miss_deadline(late())
    (incident,) = list_incidents(ledger, "digits", 10)
    assert (incident.kind, incident.key, incident.seen) == ("late_run", "late_run/monitor_model", 2)
    assert incident.title.startswith("monitor_model takes 6 hours longer")
    assert (incident.owner, "scheduled 1" in incident.evidence["summary"]) == (project.owner, True)


def test_a_late_run_that_may_wait_for_people_says_the_real_hours(miss_deadline, ledger):
    miss_deadline(late(), people_hours=24.0)
    (incident,) = list_incidents(ledger, "digits", 10)
    assert incident.title == "monitor_model takes 30 hours longer than its last ten runs did"


@pytest.mark.parametrize("context", [late("failed"), late("success"), late(run_type="backfill")])
def test_what_has_ended_and_what_nobody_waits_for_is_not_late(miss_deadline, ledger, context):
    miss_deadline(context)
    assert list_incidents(ledger, "digits", 10) == []


def test_the_notifier_serves_anybodys_own_callbacks(ledger, ledger_connection):
    run = make_run("faces.label_images")
    WindhoverNotifier(what="found no labels", impact="low", urgency="high")({"dag_run": run})
    (incident,) = list_incidents(ledger, "faces", 10)
    assert (incident.kind, incident.title, incident.severity) == ("manual", "label_images found no labels", "minor")


@pytest.mark.parametrize(
    ("dag_id", "project", "found", "stem"),
    [
        ("MyDag", "", "platform", "MyDag"),
        ("label_images", "", "platform", "label_images"),
        ("team-a.faces", "", "platform", "team-a.faces"),
        ("faces.label.twice", "", "faces", "label.twice"),
        ("MyDag", "faces", "faces", "MyDag"),
        ("team-a.faces", "faces", "faces", "team-a.faces"),
        ("faces.label_images", "Faces!", "platform", "faces.label_images"),
    ],
)
def test_no_name_of_a_dag_loses_an_alarm(ledger, ledger_connection, dag_id, project, found, stem):
    notifier = WindhoverNotifier(what="found no labels", project=project, owner="anna")
    notifier({"dag_run": make_run(dag_id)})
    (incident,) = list_incidents(ledger, found, 10)
    assert (incident.title, incident.key, incident.owner) == (f"{stem} found no labels", f"manual/{stem}", "anna")


def test_a_failed_task_of_a_dag_of_no_project_is_the_platforms(api_server, project, ledger, ledger_connection):
    with DAG("MyDag", schedule=None, **dag_defaults(project)) as dag:
        task = Failing(task_id="find_labels")
    (callback,) = task.on_failure_callback
    callback(start_task(dag, "find_labels", make_run(dag.dag_id))[1])
    assert [one.key for one in list_incidents(ledger, "platform", 9)] == ["task/MyDag/find_labels"]
