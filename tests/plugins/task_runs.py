"""Run one task with Airflow's own task runner; the API server behind it is played from memory."""

import copy
import os
import signal
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import singledispatchmethod
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import structlog
from airflow.sdk import DAG, Asset
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms, task_runner

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
RETURN_VALUE = "return_value"


@dataclass
class ApiServer:
    """What tasks of one run ask for and report, in place of the API server."""

    returned: dict[str, Any] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    messages: list[Any] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    pushed: dict[tuple[str, str], Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def send(self, msg: Any) -> Any:
        """Answer a message of the task runner."""
        self.messages.append(msg)
        return self._answer(msg)

    @singledispatchmethod
    def _answer(self, _: Any) -> None:
        """Most messages are reports."""

    @_answer.register
    def _(self, msg: comms.GetXCom) -> comms.XComResult:
        if msg.key == RETURN_VALUE:
            return comms.XComResult(key=msg.key, value=self.returned.get(msg.task_id))
        return comms.XComResult(key=msg.key, value=self.pushed.get((msg.task_id, msg.key)))

    @_answer.register
    def _(self, msg: comms.GetXComSequenceSlice) -> comms.XComSequenceSliceResult:
        return comms.XComSequenceSliceResult(root=self.returned[msg.task_id][msg.start : msg.stop : msg.step])

    @_answer.register
    def _(self, msg: comms.GetXComCount) -> comms.XComCountResponse:
        return comms.XComCountResponse(len=len(self.returned[msg.task_id]))

    @_answer.register
    def _(self, msg: comms.GetXComSequenceItem) -> Any:
        values = self.returned[msg.task_id]
        if msg.offset < len(values):
            return comms.XComSequenceIndexResult(root=values[msg.offset])
        return comms.ErrorResponse(error=ErrorType.XCOM_NOT_FOUND)

    @_answer.register
    def _(self, msg: comms.SetXCom) -> None:
        if msg.key == RETURN_VALUE:
            self.returned[msg.task_id] = msg.value
        elif msg.key.startswith("_link_"):
            self.links[msg.key] = str(msg.value)
        else:
            self.pushed[msg.task_id, msg.key] = msg.value

    @_answer.register
    def _(self, msg: comms.GetTaskStateStore) -> comms.TaskStateStoreResult | comms.ErrorResponse:
        if msg.key in self.kept:
            return comms.TaskStateStoreResult(value=self.kept[msg.key])
        return comms.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)

    @_answer.register
    def _(self, msg: comms.SetTaskStateStore) -> None:
        self.kept[msg.key] = msg.value

    @_answer.register
    def _(self, msg: comms.GetConnection) -> comms.ErrorResponse:
        return comms.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})

    @_answer.register
    def _(self, __: comms.ValidateInletsAndOutlets) -> comms.InactiveAssetsResult:
        return comms.InactiveAssetsResult(inactive_assets=[])

    @_answer.register
    def _(self, msg: comms.GetAssetEventByAsset) -> comms.AssetEventsResult:
        events = [
            {
                "id": number,
                "timestamp": NOW,
                "extra": extra,
                "asset": {"name": msg.name, "uri": msg.uri, "group": "", "extra": {}},
                "created_dagruns": [],
            }
            for number, extra in enumerate(self.events[msg.name or ""])
        ]
        ordered = events if msg.ascending else events[::-1]
        return comms.AssetEventsResult(asset_events=ordered[: msg.limit])


@dataclass(frozen=True)
class Outcome:
    """How a task ended, and what it said."""

    state: str
    message: Any
    error: BaseException | None
    task: Any
    links: dict[str, str]

    @property
    def announced(self) -> list[dict[str, Any]]:
        """Asset events the scheduler would create."""
        return list(self.message.outlet_events) if isinstance(self.message, comms.SucceedTask) else []

    @property
    def rendered_index(self) -> str | None:
        """The name of a mapped task in the UI."""
        return self.message.rendered_map_index


def make_run(dag_id: str, run_type: str = "asset_triggered", **values: Any) -> DagRun:
    """Describe a DAG run as the API server does."""
    described = {
        "logical_date": None, "data_interval_start": None, "data_interval_end": None, "run_after": NOW,
        "start_date": NOW, "end_date": None, "state": "running", "conf": {}, "consumed_asset_events": [],
        "partition_key": None,
    }  # fmt: skip
    return DagRun(dag_id=dag_id, run_id=f"{run_type}__1", run_type=run_type, **described | values)


def make_event(asset: Asset, extra: dict[str, Any], at: datetime = NOW) -> dict[str, Any]:
    """Describe an asset event that started a run."""
    return {
        "asset": {"name": asset.name, "uri": asset.uri, "extra": {}},
        "extra": extra,
        "source_task_id": None,
        "source_dag_id": None,
        "source_run_id": None,
        "source_map_index": None,
        "source_aliases": [],
        "timestamp": at,
    }


def run_task(server: ApiServer, dag: DAG, task_id: str, run: DagRun | None = None, **resumed: Any) -> Outcome:
    """Render, execute and finalise one task of a DAG; `resumed` holds next_method and next_kwargs after a deferral."""
    ti, context = start_task(dag, task_id, run or make_run(dag.dag_id), **resumed)
    log = structlog.get_logger("task")
    server.links.clear()
    with play(server):
        state, message, error = task_runner.run(ti, context, log)
        task_runner.finalize(ti, state, context, log, error)
    return Outcome(state.value, message, error, ti.task, dict(server.links))


def start_task(dag: DAG, task_id: str, run: DagRun, *, map_index: int = -1, **resumed: Any) -> tuple[Any, Any]:
    """Make the task instance and the context a task runner starts from."""
    # Each task process parses the file anew; here one DAG serves many tests.
    dag = copy.deepcopy(dag)
    for params in (dag.params, dag.task_dict[task_id].params):
        params.update({name: copy.deepcopy(params.get_param(name)) for name in params})
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid4(),
        task_id=task_id,
        dag_id=dag.dag_id,
        run_id=run.run_id,
        try_number=1,
        dag_version_id=uuid4(),
        map_index=map_index,
        task=dag.task_dict[task_id],
        bundle_instance=SimpleNamespace(name="dags-folder", version=None),
        _ti_context_from_server=TIRunContext(dag_run=run, max_tries=3, should_retry=True, **resumed),
        max_tries=3,
        start_date=NOW,
        sentry_integration="",
    )
    return ti, ti.get_template_context()


@contextmanager
def play(server: ApiServer):
    """Let the task runner talk to a played server, and undo what it does to this process."""
    on_term = signal.getsignal(signal.SIGTERM)
    with patch.object(task_runner, "SUPERVISOR_COMMS", server, create=True), patch.dict(os.environ):
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, on_term)
