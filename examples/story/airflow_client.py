"""The Airflow REST API (v2), as far as the story needs it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from examples.story.errors import StoryError

POLL_SECONDS = 0.5
RUN_SECONDS = 600
UNFINISHED = ("queued", "running")
ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")
ASKING = "awaiting_input"
READING_SECONDS = 5
Watcher = Callable[[str], None]


@dataclass
class AirflowClient:
    """A signed-in client.

    :param url: Base address of the web UI.
    :param password: The admin's password.
    """

    url: str
    password: str = field(repr=False)
    watch: Watcher = field(default=lambda _: None, repr=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self._sign_in()

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run; wait for the dag processor to find it first."""
        for _ in self._until(RUN_SECONDS, f"{dag_id} to be parsed; `airflow dags list-import-errors` says why not"):
            if self.http.get(f"/api/v2/dags/{dag_id}").status_code == 200:
                break
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, partition: str | None = None) -> str:
        """Start a run by hand and return its id."""
        body = {"logical_date": None, "conf": conf or {}, "partition_key": partition}
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, days: Sequence[str], *, again: bool = False) -> list[dict[str, Any]]:
        """Backfill a range of days through Airflow's backfill and return its runs, all of them successful.

        :param again: Also re-run days that were done already.
        """
        body = {
            "dag_id": dag_id,
            "from_date": f"{days[0]}T00:00:00Z",
            "to_date": f"{days[-1]}T00:00:00Z",
            "max_active_runs": 3,
            "reprocess_behavior": "completed" if again else "none",
        }
        created = self._create_backfill(body)
        for _ in self._until(RUN_SECONDS, f"the backfill of {dag_id}"):
            backfill = self._call("GET", f"/backfills/{created['id']}")
            runs = [run for run in self._runs(dag_id) if run["partition_key"] in days and run["run_type"] == "backfill"]
            self.watch(f"{sum(run['state'] == 'success' for run in runs)} of {len(days)} days done")
            if backfill["completed_at"] or (
                all(run["state"] not in UNFINISHED for run in runs) and len(runs) == len(days)
            ):
                break
        failed = [run for run in runs if run["state"] != "success"]
        if failed or len(runs) != len(days):
            raise StoryError(f"the backfill of {dag_id} left {len(runs) - len(failed)} of {len(days)} days successful")
        return runs

    def wait_for_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended, and require that it succeeded."""
        for _ in self._until(RUN_SECONDS, f"{dag_id} {run_id} to end"):
            run = self._call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")
            if run["state"] not in UNFINISHED:
                break
            self.watch(self._describe(dag_id, run_id))
        if run["state"] != "success":
            states = ", ".join(f"{task}={state}" for task, state in self.task_states(dag_id, run_id).items())
            raise StoryError(f"{dag_id} {run_id} ended {run['state']}: {states}; open {self.url}/dags/{dag_id}")
        return dict(run)

    def wait_for_new_run(self, dag_id: str, known: set[str]) -> str:
        """Wait until an asset event has started a run that was not known before, and until that run succeeded."""
        run = self.find_new_run(dag_id, known)
        self.wait_for_run(dag_id, run)
        return run

    def find_new_run(self, dag_id: str, known: set[str]) -> str:
        """Wait until an asset event has started a run that was not known before."""
        for _ in self._until(60, f"an asset event to start {dag_id}"):
            if new := [run["dag_run_id"] for run in self._runs(dag_id) if run["dag_run_id"] not in known]:
                break
        return str(new[-1])

    def find_done(self, dag_id: str, task_id: str, since: datetime, seconds: float) -> str:
        """Wait until a task that began since a moment has succeeded in any run, and return that run."""
        done = f"taskInstances?task_id={task_id}&state=success&start_date_gte={quote(since.isoformat())}"
        for _ in self._until(seconds, f"{task_id} of {dag_id}"):
            if found := self._call("GET", f"/dags/{dag_id}/dagRuns/~/{done}")["task_instances"]:
                break
        return str(found[0]["dag_run_id"])

    def wait_for_question(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Wait until a task asks for a person's answer; False if it ends without asking."""
        for _ in self._until(RUN_SECONDS, f"{dag_id} {task_id} to ask or to end"):
            state = self.task_states(dag_id, run_id).get(task_id)
            if state == ASKING or state in ENDED:
                break
            self.watch(self._describe(dag_id, run_id))
        return state == ASKING

    def answer_until_done(self, dag_id: str, run_id: str, task_id: str, option: str, reason: str) -> None:
        """Answer a task's question, no sooner than a person who reads it, and again if it is asked again.

        Airflow 3.3 takes a task for lost that is answered before the scheduler saw the process end which asked.
        """
        asked_at = time.monotonic()
        for _ in self._until(RUN_SECONDS, f"{dag_id} {task_id} to take an answer"):
            state = self.task_states(dag_id, run_id).get(task_id)
            if state in ENDED:
                return
            if state != ASKING:
                asked_at = time.monotonic()
            elif time.monotonic() - asked_at > READING_SECONDS:
                self.answer(dag_id, option, reason, run_id)

    def answer(self, dag_id: str, option: str, reason: str, run_id: str = "~") -> None:
        """Answer all that a DAG's run, or each of its runs, asks a person for."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/hitlDetails?response_received=false"
        asked = self._call("GET", path)["hitl_details"]
        tasks = [one["task_instance"] for one in asked if one["task_instance"]["state"] == ASKING]
        for task in tasks:
            path = f"/dags/{dag_id}/dagRuns/{quote(task['dag_run_id'])}/taskInstances/{task['task_id']}/-1/hitlDetails"
            self._call("PATCH", path, {"chosen_options": [option], "params_input": {"reason": reason}})

    def run_ids(self, dag_id: str) -> set[str]:
        """Return the ids of all runs of a DAG."""
        return {run["dag_run_id"] for run in self._runs(dag_id)}

    def settle(self, dag_ids: Sequence[str]) -> None:
        """Wait until no run of these DAGs is under way; a scheduled one may wait all day for a delivery."""
        for _ in self._until(RUN_SECONDS, "runs under way to end"):
            busy = [dag_id for dag_id in dag_ids if any(self._is_busy(run) for run in self._runs(dag_id))]
            if not busy:
                return
            self.watch(f"waiting for {', '.join(busy)}")

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return the state of every task of a run."""
        return {task["task_id"]: task["state"] for task in self.tasks(dag_id, run_id)}

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return every task instance of a run."""
        answer = self._call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances?limit=100")
        return list(answer["task_instances"])

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task handed on."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._call("GET", path)["value"]

    def link(self, dag_id: str, run_id: str, task_id: str, name: str, opener: httpx.Client | None = None) -> str:
        """Return a task's link as a full address, and require that it opens.

        :param opener: Who opens it, where it leads elsewhere; else this client.
        """
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/links"
        target = self._call("GET", path)["extra_links"].get(name)
        if not target:
            raise StoryError(f"{dag_id}.{task_id} has no link {name!r}")
        address = str(self.http.base_url.join(target))
        status = (opener or self.http).get(address).status_code
        if status != 200:
            raise StoryError(f"the link {name!r} of {dag_id}.{task_id} answers {status}: {address}")
        return address

    def import_errors(self) -> list[str]:
        """Return the import errors of all DAG files."""
        return [error["stack_trace"] for error in self._call("GET", "/importErrors")["import_errors"]]

    def _create_backfill(self, body: dict[str, Any]) -> dict[str, Any]:
        # Airflow allows one backfill a DAG at a time, and notices a little late that the last one is done.
        for _ in self._until(RUN_SECONDS, f"an earlier backfill of {body['dag_id']} to end"):
            answer = self.http.post("/api/v2/backfills", json=body)
            if answer.status_code != HTTPStatus.CONFLICT:
                break
            self.watch("waiting for an earlier backfill to end")
        if answer.is_error:
            raise StoryError(f"Airflow refused the backfill: {answer.status_code} {answer.text[:500]}")
        return dict(answer.json())

    @staticmethod
    def _is_busy(run: dict[str, Any]) -> bool:
        return run["state"] in UNFINISHED and run["run_type"] != "scheduled"

    def _runs(self, dag_id: str) -> list[dict[str, Any]]:
        return list(self._call("GET", f"/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"])[::-1]

    def _describe(self, dag_id: str, run_id: str) -> str:
        states = self.task_states(dag_id, run_id)
        return ", ".join(f"{task} {state}" for task, state in states.items() if state not in (None, "success"))

    def _until(self, seconds: float, what: str) -> Iterator[None]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield
            time.sleep(POLL_SECONDS)
        raise StoryError(f"waited {seconds:.0f} s in vain for {what}")

    def _sign_in(self) -> None:
        answer = self.http.post("/auth/token", json={"username": "admin", "password": self.password})
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = self.http.request(method, f"/api/v2{path}", json=body)
        except httpx.TransportError as error:
            raise StoryError(
                f"Airflow at {self.url} does not answer ({error}); `make status` shows what is down"
            ) from error
        if answer.is_error:
            raise StoryError(f"{method} {path} -> {answer.status_code}: {answer.text[:500]}")
        return dict(answer.json())


@contextmanager
def signed_in(url: str, password: str) -> Iterator[AirflowClient]:
    """Open a client and close it."""
    client = AirflowClient(url, password)
    try:
        yield client
    finally:
        client.http.close()
