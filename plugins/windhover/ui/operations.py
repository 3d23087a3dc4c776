"""What Airflow itself knows of a project: the newest run of each DAG, and what its tasks ask people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from windhover.links import PAGES
from windhover.ui.airflow_api import AirflowApi, AskingTask, RefusedError

# Airflow 3.3 takes a task for lost that is answered before the scheduler saw the process end which asked.
READING_SECONDS = 5
SHEET = re.compile(rf"\(({PAGES}/reports/[\w./-]+/relabelling/[\w./-]+)\)")
# In the order in which one gives rise to the next.
LOOP = {
    "ingest_images": "Ingest",
    "train_model": "Train",
    "promote_model": "Promote",
    "deploy_model": "Deploy",
    "monitor_model": "Monitor",
}


@dataclass(frozen=True)
class Run:
    """The newest run of a DAG.

    :ivar at: When it ended, or began, or is to begin.
    """

    dag_run_id: str
    state: str
    at: datetime | None


@dataclass(frozen=True)
class FormField:
    """One thing that goes with an answer.

    :ivar choices: All that it may be; anything where there are none.
    :ivar optional: Whether it may be left empty.
    """

    name: str
    title: str
    value: str
    choices: tuple[str, ...]
    optional: bool


@dataclass(frozen=True)
class Question:
    """What a task asks.

    :ivar answerable: Whether a form of text can answer it.
    :ivar fresh: Whether it is too new to be answered.
    :ivar sheet: Address of the images that it is about, numbered; empty where it is about none.
    """

    task: AskingTask
    subject: str
    body: str
    sheet: str
    options: tuple[str, ...]
    fields: tuple[FormField, ...]
    since: datetime
    answerable: bool
    fresh: bool


@dataclass(frozen=True)
class Operations:
    """What Airflow knows.

    :ivar fault: Why it is not known.
    """

    runs: Mapping[str, Run] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    fault: str = ""


async def read_operations(api: AirflowApi, project: str) -> Operations:
    """Ask Airflow, in the name of who looks; what it refuses to tell is said."""
    try:
        runs = await api.list_newest_runs([f"{project}.{dag}" for dag in LOOP])
        asked = await api.list_questions(project)
    except RefusedError as refusal:
        return Operations(fault=str(refusal))
    return Operations({dag: _read_run(run) for dag, run in runs.items()}, tuple(map(_read_question, asked)))


def _read_run(run: dict[str, Any]) -> Run:
    at = run.get("end_date") or run.get("start_date") or run.get("run_after")
    return Run(run["dag_run_id"], run["state"], datetime.fromisoformat(at) if at else None)


def _read_question(one: dict[str, Any]) -> Question:
    task, since = one["task_instance"], datetime.fromisoformat(one["created_at"])
    params: dict[str, Any] = one["params"]
    return Question(
        AskingTask(task["dag_id"], task["dag_run_id"], task["task_id"], task["map_index"]),
        one["subject"],
        one["body"] or "",
        _find_sheet(one["body"] or ""),
        tuple(one["options"]),
        tuple(_read_field(name, param) for name, param in params.items()),
        since,
        not one["multiple"] and all(map(_is_text, params.values())),
        (datetime.now(UTC) - since).total_seconds() < READING_SECONDS,
    )


def _find_sheet(body: str) -> str:
    found = SHEET.search(body)
    return found[1] if found else ""


def _read_field(name: str, param: dict[str, Any]) -> FormField:
    schema = param["schema"]
    choices = tuple(str(choice or "") for choice in schema.get("enum") or ())
    optional = "null" in _read_types(param)
    return FormField(name, schema.get("title") or name, str(param["value"] or ""), choices, optional)


def _is_text(param: dict[str, Any]) -> bool:
    return _read_types(param) <= {"string", "null"}


def _read_types(param: dict[str, Any]) -> set[str]:
    named = param["schema"].get("type", "string")
    return {named} if isinstance(named, str) else set(named)
