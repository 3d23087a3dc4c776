"""Verbs that dispose of certified versions, keep them from being disposed of, and ask what is left of them."""

from typing import Annotated

import typer

from include.cli.options import By, Json, ProjectName, Reason
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract

Model = Annotated[int, typer.Option("--model", min=1, help="Version in the model registry.")]

app = typer.Typer()


@app.command()
@reporting
def retire(project: ProjectName, model: Model, reason: Reason, by: By, as_json: Json = False) -> Contract:
    """Archive a version into a sealed bundle, and remove it for good; its tombstone stays."""
    from include.registry.retirement import retire_model

    workplace = Workplace.open(project)
    places = workplace.project, workplace.store, workplace.ledger, workplace.tracking
    # The same for every attempt at a version: one that is run again takes over the lease of one that was killed.
    return retire_model(model, *places, holder=f"cli/retire/{model}", who=by, why=reason)


@app.command()
@reporting
def hold(project: ProjectName, model: Model, reason: Reason, by: By, as_json: Json = False) -> Contract:
    """Forbid that a version is retired, until the hold is released."""
    from include.ledger.audit import seal_chain
    from include.ledger.holds import hold_version

    workplace = Workplace.open(project)
    held = hold_version(workplace.ledger, workplace.project.name, model, by, reason)
    seal_chain(workplace.ledger, workplace.project.name, workplace.store)
    return held


@app.command()
@reporting
def release_hold(project: ProjectName, model: Model, reason: Reason, by: By, as_json: Json = False) -> Contract:
    """Lift the hold of a version."""
    from include.ledger.audit import seal_chain
    from include.ledger.holds import release_hold

    workplace = Workplace.open(project)
    lifted = release_hold(workplace.ledger, workplace.project.name, model, by, reason)
    seal_chain(workplace.ledger, workplace.project.name, workplace.store)
    return lifted


@app.command()
@reporting
def rescore(project: ProjectName, model: Model, as_json: Json = False) -> Contract:
    """Check the bundle of a retired version, and have it score its images again."""
    from include.registry.retirement import rescore_archived

    workplace = Workplace.open(project)
    return rescore_archived(workplace.project.name, model, workplace.store, workplace.ledger)
