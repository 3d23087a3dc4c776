"""Release notes: one page per release that says what changed, why it may serve, how it went, and how to undo it."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.contracts import EvaluationReport, ReleaseRef, RolloutRef
from include.ledger import Ledger
from include.ledger.plans import PlanRevision, list_plans
from include.ledger.releases import find_release
from include.ledger.rollouts import RolloutRecord, list_rollouts
from include.project import Project
from include.storage import Store
from include.vision.certificates import read_certificate
from include.vision.releases import CERTIFICATE

HISTORY = 1000
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def notes_address(release: ReleaseRef) -> str:
    """Address of the notes of a release, as a page; as Markdown they are beside it, in `notes.md`."""
    return (
        f"{release.model.model.project}/reports/release_notes/{release.digest.removeprefix('sha256:')[:12]}/index.html"
    )


def write_release_notes(rollout: RolloutRef, project: Project, ledger: Ledger, store: Store) -> str:
    """Write the notes of a release, as they stand after a rollout of it; return the address of the page.

    :raises ArtifactNotFoundError: the store no longer holds the release.
    :raises NotCertifiedError: its certificate does not verify.
    """
    facts = _collect_facts(rollout, project, ledger, store)
    address = notes_address(rollout.release)
    store.write(address, TEMPLATES.get_template("release_notes.html.j2").render(facts).encode())
    text = TEMPLATES.get_template("release_notes.md.j2").render(facts)
    store.write(f"{address.rpartition('/')[0]}/notes.md", text.encode())
    return address


def _collect_facts(rollout: RolloutRef, project: Project, ledger: Ledger, store: Store) -> dict[str, Any]:
    release = rollout.release
    certificate = read_certificate(store.read(f"{release.address}/{CERTIFICATE}"), store)
    before = find_release(ledger, project.name, rollout.previous) if rollout.previous else None
    # What a certificate compares with was champion in the registry; only of that one are there measurements.
    rival = certificate.decision.champion
    attempts = [one for one in list_rollouts(ledger, project.name, HISTORY) if one.rollout.release == release]
    return {
        "project": project,
        "release": release,
        "before": before,
        "certificate": certificate,
        "data": _compare_data(release, before),
        "measures": _compare_measures(certificate.decision.candidate, rival),
        "attempts": [(one, _list_steps(one, ledger)) for one in attempts],
    }


def _compare_data(release: ReleaseRef, before: ReleaseRef | None) -> dict[str, tuple[str, str]]:
    """Name what was learned from, of the release before and of this one."""

    def describe(one: ReleaseRef | None) -> dict[str, str]:
        if one is None:
            return {}
        dataset = one.model.model.dataset
        return {
            "model version": str(one.model.version),
            "dataset version": str(dataset.version),
            "images": str(dataset.images),
            "labelled images": str(dataset.labelled),
            "parity": f"{one.parity:.2e}",
        }

    older, newer = describe(before), describe(release)
    return {name: (older.get(name, "-"), value) for name, value in newer.items()}


def _compare_measures(mine: EvaluationReport, rival: EvaluationReport | None) -> dict[str, tuple[float | None, float]]:
    names = {"accuracy": "accuracy", "macro_f1": "macro F1", "worst_class_recall": "recall of the worst class"}
    return {said: (getattr(rival, name) if rival else None, getattr(mine, name)) for name, said in names.items()}


def _list_steps(attempt: RolloutRecord, ledger: Ledger) -> list[PlanRevision]:
    """Return the plans that a rollout made, oldest first."""
    plans = list_plans(ledger, attempt.rollout.release.model.model.project, HISTORY)
    mine = [
        one
        for one in plans
        if one.plan and one.plan.rollout == attempt.rollout.id and f"rollout {attempt.rollout.id}" in one.why
    ]
    return mine[::-1]
