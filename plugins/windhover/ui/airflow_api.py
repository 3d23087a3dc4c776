"""Airflow's REST API, asked within its own server and in the name of the person whose browser asks.

So every role is checked, and every deed logged, by Airflow itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from fastapi import Request

from include.errors import ServiceUnavailableError

ASKING = "awaiting_input"


class RefusedError(Exception):
    """Airflow does not do what it was asked for.

    :ivar status: What it answered with, as HTTP has it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class AskingTask:
    """A task that waits for a person."""

    dag: str
    run: str
    task: str
    index: int

    @property
    def path(self) -> str:
        """Its address below `/api/v2`."""
        dag, run, task = (quote(part, safe="") for part in (self.dag, self.run, self.task))
        return f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/{self.index}"


@dataclass(frozen=True)
class AirflowApi:
    """A client in the name of whoever sent a request.

    :ivar server: The application that serves Airflow's API beside our pages.
    :ivar credentials: Value of the header `Authorization`.
    """

    server: Any
    credentials: str

    async def list_questions(self, project: str) -> list[dict[str, Any]]:
        """Return what tasks of a project wait for, the oldest first, as `HITLDetail` of Airflow's API has it."""
        asked = {"dag_id_prefix_pattern": f"{project}.", "state": ASKING, "response_received": False, "limit": 20}
        answer = await self._call("GET", "/dags/~/dagRuns/~/hitlDetails", params=asked | {"order_by": "created_at"})
        # The pattern of Airflow leaves punctuation at its end out.
        found: list[dict[str, Any]] = answer["hitl_details"]
        return [one for one in found if one["task_instance"]["dag_id"].startswith(f"{project}.")]

    async def list_newest_runs(self, dags: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the newest run of each DAG that ever ran, by the name of the DAG."""
        found = await asyncio.gather(*map(self._find_newest_run, dags))
        return {run["dag_id"]: run for run in found if run}

    async def trigger(self, dag: str, form: dict[str, Any], note: str) -> str:
        """Start a run of a DAG, which must not be paused for that, and return its name."""
        path, asked = f"/dags/{quote(dag, safe='')}", {"logical_date": None, "conf": form, "note": note}
        if (await self._call("GET", path))["is_paused"]:
            await self._call("PATCH", path, json={"is_paused": False})
        return str((await self._call("POST", f"{path}/dagRuns", json=asked))["dag_run_id"])

    async def answer(self, asking: AskingTask, option: str, fields: dict[str, str | None]) -> None:
        """Answer what a task asks."""
        asked = {"chosen_options": [option], "params_input": fields}
        await self._call("PATCH", f"{asking.path}/hitlDetails", json=asked)

    async def _find_newest_run(self, dag: str) -> dict[str, Any] | None:
        asked = {"order_by": "-run_after", "limit": 1}
        try:
            runs = (await self._call("GET", f"/dags/{quote(dag, safe='')}/dagRuns", params=asked))["dag_runs"]
        except RefusedError as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return runs[0] if runs else None

    async def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        transport = httpx.ASGITransport(self.server, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://airflow", headers={"Authorization": self.credentials}
        ) as client:
            answer = await client.request(method, f"/api/v2{path}", **content)
        if answer.is_error:
            raise RefusedError(answer.status_code, f"Airflow answers {answer.status_code}: {_read_reason(answer)}")
        found: dict[str, Any] = answer.json()
        return found


def open_api(request: Request) -> AirflowApi:
    """Give the API of the server that took a request, with the credentials the request came with.

    :raises ServiceUnavailableError: the pages do not run within Airflow's server.
    """
    server = request.scope.get("airflow")
    if server is None:
        raise ServiceUnavailableError("these pages do not run within Airflow's API server")
    token = request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
    return AirflowApi(server, request.headers.get("authorization", f"Bearer {token}"))


def _read_reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:500]
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase
