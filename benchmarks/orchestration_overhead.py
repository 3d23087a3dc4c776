"""What it costs to run ingest -> deploy as Airflow tasks instead of function calls, and where the time goes.

    .venv/bin/python -m benchmarks.orchestration_overhead

Two projects with the same settings get the same delivery on a stack of its own. One goes through Airflow, asset event
by asset event; the other through `python -m include.cli lifecycle`, the same functions in one process.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from deploy.credentials import load_credentials
from deploy.home import Home, open_home
from deploy.startup import bring_down, bring_up
from examples.camera import ARRIVAL_SPECIMENS, CLEAN_LENS, deliver_day
from examples.story.airflow_client import AirflowClient, signed_in
from include.settings import REPOSITORY

DAY = date(2026, 1, 5)
IMAGES = 600
DAGS = ("ingest_images", "train_model", "promote_model", "deploy_model")
ROUNDS = 3
console = Console(highlight=False)


def main() -> None:
    """Measure both ways in turn on one stack, and print the medians."""
    with tempfile.TemporaryDirectory(prefix="windhover-") as folder, temporary_stack(Path(folder)) as home:
        pairs = []
        with signed_in(home.airflow_url, load_credentials(home).admin_password) as airflow:
            for number in range(ROUNDS):
                flown, parts = fly(home, airflow, f"flown{number}")
                pairs.append((flown, sum(walk(home, f"walked{number}").values()), parts))
                console.print(f"round {number + 1}: Airflow {pairs[-1][0]:.1f} s, one process {pairs[-1][1]:.1f} s")
        report(sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2])


def report(pair: tuple[float, float, dict[str, float]]) -> None:
    """Print the ratio of the median round and where its time went."""
    flown, walked, parts = pair
    table = Table(title=f"ingest -> deploy, {IMAGES} images, median of {ROUNDS} rounds", title_justify="left")
    table.add_column("way")
    table.add_column("seconds", justify="right")
    table.add_column("ratio", justify="right")
    table.add_row("one process (include.cli lifecycle)", f"{walked:.1f}", "1.0")
    table.add_row("Airflow, four DAGs joined by assets", f"{flown:.1f}", f"{flown / walked:.1f}")
    for name, seconds in parts.items():
        table.add_row(f"  {name}", f"{seconds:.1f}", f"{seconds / flown:.0%}")
    console.print(table)


def fly(home: Home, airflow: AirflowClient, project: str) -> tuple[float, dict[str, float]]:
    """Send one delivery through the four DAGs; return the seconds it took and where they went."""
    deliver(home, project)
    dag_ids = [f"{project}.{dag}" for dag in DAGS]
    for dag_id in dag_ids:
        airflow.unpause(dag_id)
    runs = {dag_ids[0]: airflow.trigger(dag_ids[0], partition=DAY.isoformat())}
    airflow.wait_for_run(dag_ids[0], runs[dag_ids[0]])
    for dag_id in dag_ids[1:]:
        runs[dag_id] = airflow.wait_for_new_run(dag_id, set())
    tasks = [task for dag_id, run in runs.items() for task in airflow.tasks(dag_id, run) if task["end_date"]]
    started = min(moment(task["scheduled_when"] or task["start_date"]) for task in tasks)
    ended = max(moment(task["end_date"]) for task in tasks)
    return (ended - started).total_seconds(), split(tasks, (ended - started).total_seconds())


def split(tasks: list[dict[str, Any]], total: float) -> dict[str, float]:
    """Divide the wall time by what the furthest task was doing at each moment."""
    edges = sorted({moment(task[key]) for task in tasks for key in STEPS if task[key]})
    parts = dict.fromkeys(("tasks at work", "starting a task's process", "waiting for the executor"), 0.0)
    for left, right in pairwise(edges):
        middle = left + (right - left) / 2
        doing = {state_at(task, middle) for task in tasks}
        for name in parts:
            if name in doing:
                parts[name] += (right - left).total_seconds()
                break
    return parts | {"scheduler loop and asset events": total - sum(parts.values())}


STEPS = ("scheduled_when", "queued_when", "start_date", "end_date")


def state_at(task: dict[str, Any], when: datetime) -> str:
    """Say what a task was doing at a moment. Airflow's `duration` includes the process's start and its imports."""
    scheduled, queued, start, end = (moment(task[key]) if task[key] else None for key in STEPS)
    if start and end and start <= when < end:
        return "tasks at work"
    if queued and start and queued <= when < start:
        return "starting a task's process"
    if scheduled and queued and scheduled <= when < queued:
        return "waiting for the executor"
    return ""


def walk(home: Home, project: str) -> dict[str, float]:
    """Run the same stages in one process; return the seconds of each."""
    deliver(home, project)
    command = [
        sys.executable,
        "-m",
        "include.cli",
        "lifecycle",
        "--project",
        project,
        "--day",
        DAY.isoformat(),
        "--json",
    ]
    environment = os.environ | home.locations() | {"WINDHOVER_LEDGER_URI": home.database_url("windhover")}
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout)["seconds"])


def deliver(home: Home, project: str) -> None:
    """Have the camera deliver the same day to a project."""
    landing = Path(home.locations()["WINDHOVER_LANDING"])
    specimens = list(ARRIVAL_SPECIMENS)[:IMAGES]
    deliver_day(landing, DAY, specimens, lens=CLEAN_LENS, labelled=True, project=project)


@contextmanager
def temporary_stack(folder: Path) -> Iterator[Home]:
    """Run a stack of its own on free ports, with one project file for each pass."""
    projects = folder / "projects"
    projects.mkdir()
    digits = yaml.safe_load((REPOSITORY / "include/projects/digits.yaml").read_text())
    # Neither a search nor a person's answer belongs to what Airflow costs.
    plain = digits | {"tuning": {}, "governance": digits["governance"] | {"approval": "auto"}}
    for name in [f"{way}{number}" for way in ("flown", "walked") for number in range(ROUNDS)]:
        (projects / f"{name}.yaml").write_text(yaml.safe_dump(plain | {"name": name}))
    os.environ |= {"WINDHOVER_HOME": str(folder / "home"), "WINDHOVER_PROJECTS": str(projects)}
    os.environ |= {f"WINDHOVER_{part}_PORT": str(free_port()) for part in ("AIRFLOW", "MLFLOW", "SERVING", "POSTGRES")}
    home = open_home()
    try:
        bring_up(home, console)
        yield home
    finally:
        bring_down(home, console)


def free_port() -> int:
    """Ask the kernel for a port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def moment(text: str) -> datetime:
    """Read one of Airflow's times."""
    return datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
