"""The runbook has an answer for every task of every DAG."""

import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).parents[2]
DAGS = sorted(path.stem for path in (ROOT / "dags").glob("[!_]*.py") if path.stem != "project_files")


def read_section(title: str) -> str:
    sections = (ROOT / "docs" / "runbook.md").read_text().split("\n## ")
    return next((section for section in sections if section.startswith(f"{title}\n")), "")


@pytest.mark.parametrize("stem", DAGS)
def test_every_task_has_a_row(stem):
    bag = DagBag(ROOT / "dags" / f"{stem}.py")
    rows = [line.split("|")[1] for line in read_section(stem).splitlines() if line.startswith("| `")]
    named = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert named == {task.task_id for task in bag.dags[f"digits.{stem}"].tasks}
