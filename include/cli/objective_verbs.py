"""Verbs about what is promised: how much of each error budget is left, and what an exhausted one holds back."""

from typing import Annotated, Any

import typer

from include.cli.options import By, Json, ProjectName, Reason
from include.cli.terminal import reporting
from include.cli.workplace import Workplace

app = typer.Typer()


@app.command()
@reporting
def objectives(project: ProjectName, as_json: Json = False) -> Any:
    """Show the newest measurement of every objective, and the freezes that stand."""
    from include.ledger.freezes import list_freezes
    from include.ledger.objectives import list_objectives

    ledger = Workplace.open(project).ledger
    frozen = list_freezes(ledger, project)
    return {
        "objectives": [one.model_dump(mode="json") for one in list_objectives(ledger, project)],
        "freezes": [one._asdict() | {"since": one.since.isoformat()} for one in frozen],
    }


@app.command()
@reporting
def thaw(
    project: ProjectName,
    cause: Annotated[str, typer.Option("--cause", help="What froze rollouts, such as slo/availability.")],
    reason: Reason,
    by: By,
    as_json: Json = False,
) -> Any:
    """Let rollouts begin again although an error budget is used up."""
    from include.ledger.freezes import lift_freeze, list_freezes

    ledger = Workplace.open(project).ledger
    lift_freeze(ledger, project, cause=cause, who=by, why=reason)
    return {"lifted": cause, "still_standing": [one.cause for one in list_freezes(ledger, project)]}
