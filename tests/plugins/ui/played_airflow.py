"""Airflow's REST API, as far as the pages ask it, with one task that asks; it checks sessions as the real one does."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import FastAPI, HTTPException, Request

from windhover.ui.rights import may_act

RUN = "manual__2026-11-21T10:00:00+00:00"


def make_question(**values: Any) -> dict[str, Any]:
    """What `approve_promotion` asks, as Airflow lists it."""
    task = {"dag_id": "digits.promote_model", "dag_run_id": RUN, "task_id": "approve_promotion", "map_index": -1}
    reason = {"value": "", "description": "Kept, with your name.", "schema": {"type": "string", "title": "Reason"}}
    known = {
        "task_instance": task, "subject": "Promote a new model of <Handwritten digits>?", "multiple": False,
        "body": "Accuracy 0.9712 against 0.9500.", "options": ["Approve", "Reject"], "params": {"reason": reason},
        "created_at": (datetime.now(UTC) - timedelta(minutes=3)).isoformat(),
    }  # fmt: skip
    return known | values


@dataclass
class PlayedAirflow:
    """An API server that does nothing, and remembers what it was asked to do.

    :ivar deeds: Who asked for what: user, method, path below `/api/v2`, body.
    :ivar runs: State of the newest run, by DAG.
    :ivar paused: DAGs that start no run.
    """

    deeds: list[tuple[str, str, str, dict[str, Any]]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    broken: bool = False

    def make_app(self) -> FastAPI:
        """Build what is mounted under `/api/v2`."""
        app = FastAPI()
        app.get("/dags/~/dagRuns/~/hitlDetails")(self.list_questions)
        app.get("/dags/{dag}/dagRuns")(self.list_runs)
        app.get("/dags/{dag}")(lambda dag: {"dag_id": dag, "is_paused": dag in self.paused})
        app.patch("/dags/{dag}")(self.unpause)
        app.post("/dags/{dag}/dagRuns")(self.take)
        app.patch("/dags/{dag}/dagRuns/{run}/taskInstances/{task}/{index}/hitlDetails")(self.take)
        return app

    def list_questions(self, user: GetUserDep) -> dict[str, Any]:
        """Answer what waits, also for other projects."""
        other = make_question(subject="Not ours")
        other["task_instance"] = other["task_instance"] | {"dag_id": "digits2.promote_model"}
        return {"hitl_details": [*self.questions, other], "total_entries": len(self.questions) + 1}

    def list_runs(self, user: GetUserDep, dag: str) -> dict[str, Any]:
        """Answer the newest run of a DAG."""
        if self.broken:
            raise HTTPException(500, "the database is away")
        if dag not in self.runs:
            raise HTTPException(404, f"The Dag with ID: `{dag}` was not found")
        run = {"dag_id": dag, "dag_run_id": RUN, "state": self.runs[dag], "start_date": datetime.now(UTC).isoformat()}
        return {"dag_runs": [run | {"end_date": None, "run_after": run["start_date"]}], "total_entries": 1}

    async def unpause(self, user: GetUserDep, request: Request, dag: str) -> dict[str, Any]:
        """Let a DAG run, if the role of the user lets it."""
        if not may_act(user, dag.partition(".")[0]):
            raise HTTPException(403, "Forbidden")
        assert await request.json() == {"is_paused": False}
        self.paused.discard(dag)
        return {"dag_id": dag}

    async def take(self, user: GetUserDep, request: Request, dag: str) -> dict[str, Any]:
        """Do as asked, if the role of the user lets it."""
        if not may_act(user, dag.partition(".")[0]):
            raise HTTPException(403, "Forbidden")
        path = request.url.path.removeprefix("/api/v2")
        self.deeds.append((user.get_name(), request.method, path, await request.json()))
        return {"dag_run_id": RUN}
