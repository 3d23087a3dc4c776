"""Write the model card: one self-contained page that says what a model is, how it was made and how good it is.

Sections after Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mlflow.entities import Run
from scipy.stats import binomtest

from include.contracts import ApprovalReport, DatasetRef, EvaluationReport, ModelVersionRef, PromotionDecision
from include.errors import ArtifactNotFoundError
from include.project import Project
from include.storage import Store
from include.tracking import CURVES, Tracking, calibration_path, confusion_path

CODE_TAG = "windhover.code"
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def card_address(version: ModelVersionRef) -> str:
    """Address of a version's model card."""
    return f"{version.model.project}/reports/model_card/{version.version}/index.html"


def write_model_card(
    version: ModelVersionRef,
    decision: PromotionDecision,
    project: Project,
    store: Store,
    tracking: Tracking,
    approvals: Sequence[ApprovalReport] = (),
) -> None:
    """Write the card of a registered version to the store and into its run, and its gist to the version in MLflow.

    :param approvals: Of the people who answer for it.
    :raises ArtifactNotFoundError: MLflow does not have the run or the version.
    """
    facts = _collect_facts(version, decision, project, tracking) | {"approvals": approvals}
    page = TEMPLATES.get_template("model_card.html.j2").render(facts)
    gist = TEMPLATES.get_template("model_card.md.j2").render(facts)
    store.write(card_address(version), page.encode())
    with tracking.connect() as client:
        client.log_text(version.model.run_id, page, f"model_card/{version.version}.html")
        client.update_model_version(version.model.project, str(version.version), gist)


def _collect_facts(
    version: ModelVersionRef, decision: PromotionDecision, project: Project, tracking: Tracking
) -> dict[str, Any]:
    run_id, report, rival = version.model.run_id, decision.candidate, decision.champion
    run = _read_run(run_id, tracking)
    gates = {gate.measure: gate for gate in project.promotion.gates}
    by_class = {f"{score}_{name}" for score in ("precision", "recall", "f1") for name in report.recall_by_class}
    return {
        "version": version,
        "decision": decision,
        "report": report,
        "champion": rival,
        "interval": _interval(report),
        "gates": gates,
        # Of many classes, those of each would bury the others; recall stands in a table of its own.
        "measures": {name: value for name, value in report.measures.items() if name not in by_class or name in gates},
        "project": project,
        "training": dict(sorted(run.data.params.items())),
        "code": _read_code(run),
        "changes": _list_changes(run, report, rival, tracking) if rival else {},
        "trained_at": datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        "curves": _embed(tracking, run_id, CURVES),
        "confusion": _embed(tracking, run_id, confusion_path(report.test_digest)),
        "reliability": _embed(tracking, run_id, calibration_path(report.test_digest)),
        "run_url": tracking.run_url(run_id),
        "version_url": tracking.model_url(project.name, version.version),
    }


def _read_run(run_id: str, tracking: Tracking) -> Run:
    with tracking.connect() as client:
        return client.get_run(run_id)


def _read_code(run: Run) -> str:
    return str(run.data.tags.get(CODE_TAG, "not recorded"))


def _list_changes(
    run: Run, report: EvaluationReport, champion: EvaluationReport, tracking: Tracking
) -> dict[str, tuple[str, str]]:
    """List what of data, settings and code differs from the champion before: its value, then this model's."""
    before, after = _describe_data(champion.model.dataset), _describe_data(report.model.dataset)
    try:
        older = _read_run(champion.model.run_id, tracking)
    except ArtifactNotFoundError:
        before["training run"], after["training run"] = "gone from MLflow", run.info.run_id
    else:
        before |= {**older.data.params, "code": _read_code(older)}
        after |= {**run.data.params, "code": _read_code(run)}
    names = dict.fromkeys([*before, *after])
    pairs = {name: (before.get(name, "-"), after.get(name, "-")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _describe_data(dataset: DatasetRef) -> dict[str, str]:
    return {
        "dataset version": str(dataset.version),
        "images": str(dataset.images),
        "labelled images": str(dataset.labelled),
    }


def _interval(report: EvaluationReport) -> tuple[float, float]:
    """95 % Wilson interval of the accuracy; it stays honest where no image was missed."""
    bounds = binomtest(round(report.accuracy * report.images), report.images).proportion_ci(0.95, method="wilson")
    return float(bounds.low), float(bounds.high)


def _embed(tracking: Tracking, run_id: str, path: str) -> str | None:
    """Return a figure as a data URI; a run without it gets a card that says so."""
    try:
        return f"data:image/png;base64,{base64.b64encode(tracking.read_artifact(run_id, path)).decode()}"
    except ArtifactNotFoundError:
        return None
