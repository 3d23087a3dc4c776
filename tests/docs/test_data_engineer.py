"""The data engineer's page explains every reason for a quarantine, every task and every field of a receipt."""

import re
from typing import get_args

from airflow.dag_processing.dagbag import DagBag

from include.contracts import ErasureReport, QuarantineReason
from include.settings import REPOSITORY

PAGE = (REPOSITORY / "docs" / "data_engineer.md").read_text()


def read_first_cells(title: str) -> list[str]:
    """Return the code in the first cells of a section's tables."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_reason_has_a_cause_and_a_remedy():
    assert sorted(read_first_cells("Quarantine")) == sorted(get_args(QuarantineReason))


def test_every_task_is_described():
    dag = DagBag(REPOSITORY / "dags" / "ingest_images.py").dags["digits.ingest_images"]
    assert sorted(read_first_cells("Tasks")) == sorted(dag.task_dict)


def test_every_field_of_the_receipt_is_explained():
    asked_for = {"project", "subject", "reason", "requested_by"}
    assert set(read_first_cells("Forget an image or a person")) == ErasureReport.model_fields.keys() - asked_for
