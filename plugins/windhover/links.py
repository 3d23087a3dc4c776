"""Buttons on a task that lead to its evidence.

Airflow calls `get_link` in the task's process after `execute`, also when it failed; an operator leaves what a link
needs in its `evidence`.
"""

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

PAGES = "/windhover"


def page_of(address: str) -> str:
    """Return the path of a stored report in the Airflow web UI."""
    return f"{PAGES}/reports/{address}"


def rollouts_of(project: str) -> str:
    """Return the path of a project's rollouts in the Airflow web UI."""
    return f"{PAGES}/rollouts/{project}"


class EvidenceLink(BaseOperatorLink):
    """A link to a page an operator left in `operator.evidence` under the link's name."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The label of the button."""
        return self._name

    @property
    def xcom_key(self) -> str:
        """One key per label, because one task may have several links."""
        return f"_link_{self._name.lower().replace(' ', '_')}"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the page, or nothing when the task left none."""
        evidence: dict[str, str] = getattr(operator, "evidence", {})
        return evidence.get(self._name, "")


DATA_DOCS = EvidenceLink("Data Docs")
QUARANTINE = EvidenceLink("Quarantine")
DATASHEET = EvidenceLink("Datasheet")
EDA = EvidenceLink("EDA")
MLFLOW_RUN = EvidenceLink("MLflow run")
EVALUATION = EvidenceLink("Evaluation")
EXPLANATIONS = EvidenceLink("Explanations")
MODEL_CARD = EvidenceLink("Model card")
ENDPOINT = EvidenceLink("Endpoint")
PREDICTIONS = EvidenceLink("Predictions")
ROLLOUTS = EvidenceLink("Rollouts")
RELEASE_NOTES = EvidenceLink("Release notes")
DRIFT_REPORT = EvidenceLink("Drift report")
CONTACT_SHEET = EvidenceLink("Contact sheet")
