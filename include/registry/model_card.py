"""Write the model card: one self-contained page that says what a model is, how it was made and how good it is.

Sections after Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

import base64
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy.stats import binomtest

from include.contracts import EvaluationReport, ModelVersionRef, PromotionDecision
from include.errors import ArtifactNotFoundError
from include.project import Project
from include.storage import Store
from include.tracking import CURVES, Tracking, confusion_path

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def card_address(version: ModelVersionRef) -> str:
    """Address of a version's model card."""
    return f"{version.model.project}/reports/model_card/{version.version}/index.html"


def write_model_card(
    version: ModelVersionRef, decision: PromotionDecision, project: Project, store: Store, tracking: Tracking
) -> None:
    """Write the card of a registered version to the store."""
    run_id = version.model.run_id
    with tracking.connect() as client:
        run = client.get_run(run_id)
    page = TEMPLATES.get_template("model_card.html.j2").render(
        version=version,
        decision=decision,
        report=decision.candidate,
        champion=decision.champion,
        interval=_interval(decision.candidate),
        project=project,
        training=dict(sorted(run.data.params.items())),
        code=run.data.tags.get("windhover.code", "not recorded"),
        trained_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        curves=_embed(tracking, run_id, CURVES),
        confusion=_embed(tracking, run_id, confusion_path(decision.candidate.test_digest)),
        run_url=tracking.run_url(run_id),
        version_url=tracking.model_url(project.name, version.version),
    )
    store.write(card_address(version), page.encode())


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
