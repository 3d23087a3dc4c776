"""Verbs that answer for the models: the audit chain, and certificates checked again."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from include.cli.options import Json, ProjectName
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract
from include.errors import ContractViolationError, NotCertifiedError

if TYPE_CHECKING:
    from include.contracts import PromotionDecision
    from include.contracts.governance import Certificate

RECENT = 20

app = typer.Typer()


@app.command()
@reporting
def audit(
    project: ProjectName,
    at: Annotated[datetime | None, typer.Option(help="What was so then, in UTC; now unless given.")] = None,
    as_json: Json = False,
) -> Contract:
    """Check every link of the audit chain, and say which version was champion, and who made it so."""
    from include.ledger.audit import describe_chain

    workplace = Workplace.open(project)
    moment = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    return describe_chain(workplace.ledger, workplace.project.name, workplace.store, moment, recent=RECENT)


@app.command()
@reporting
def verify(
    project: ProjectName,
    model: Annotated[int, typer.Option("--model", min=1, help="Version in the model registry.")],
    as_json: Json = False,
) -> Contract:
    """Check a version's certificate from the store alone: signature, graph, data, answers, and its verdict again."""
    from include.registry.verify import verify_version

    workplace = Workplace.open(project)
    report = verify_version(
        *(workplace.project.name, model, workplace.store, lambda: workplace.ledger),
        judge=lambda certificate: _judge_again(certificate, workplace),
    )
    if not report.valid:
        failed = "; ".join(f"{one.check}: {one.found}" for one in report.checks if not one.passed)
        raise NotCertifiedError(f"{project} version {model} does not verify: {failed}")
    return report


def _judge_again(certificate: "Certificate", workplace: Workplace) -> "PromotionDecision":
    from include.evaluation.compare import compare_models
    from include.evaluation.decide import decide_promotion
    from include.project import PromotionPolicy

    try:
        policy, decision = PromotionPolicy.model_validate(certificate.policy), certificate.decision
    except ValidationError as error:
        raise ContractViolationError(
            f"this version of Windhover does not know the certified policy: {error}"
        ) from error
    project = workplace.project.model_copy(update={"promotion": policy})
    rival = decision.champion
    store, comparisons = workplace.store, decision.comparisons
    # Where answers are gone, their own check asks why.
    if rival and all(store.exists(report.answers) for report in (decision.candidate, rival)):
        comparisons = compare_models(decision.candidate, rival, project, store)
    return decide_promotion(decision.candidate, rival, policy, comparisons)
