"""Verbs about what answers: roll a release out, go back, go forward, and say how it stands."""

from typing import Annotated, Any

import typer

from include.cli.options import Json, ProjectName, Reason
from include.cli.rollouts import TAKEN_BACK, deploy_release, describe_rollouts, switch
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract

app = typer.Typer()


@app.command()
@reporting
def deploy(
    project: ProjectName,
    strategy: Annotated[
        str,
        typer.Option(help="direct, blue_green, canary, shadow or ab_test; the project file's choice unless given."),
    ] = "",
    as_json: Json = False,
) -> Contract:
    """Roll the version registered last out, watch how it fares, and crown it or go back."""
    workplace = Workplace.open(project)
    return deploy_release(workplace, workplace.package(workplace.find_certified()), strategy)


@app.command()
@reporting
def rollback(
    project: ProjectName,
    to: Annotated[str, typer.Option(help="Version that answered before, by number; the one before unless given.")] = "",
    reason: Reason = TAKEN_BACK,
    as_json: Json = False,
) -> Contract:
    """Take a rollout under way back, or let the release before answer; wait until it does. Freezes do not matter."""
    return switch(Workplace.open(project), to or "previous", reason)


@app.command()
@reporting
def roll_forward(project: ProjectName, reason: Reason, as_json: Json = False) -> Contract:
    """Let the release answer again that was left by the last rollback; wait until it does."""
    return switch(Workplace.open(project), "next", reason)


@app.command()
@reporting
def rollouts(
    project: ProjectName,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 10,
    as_json: Json = False,
) -> Any:
    """Say who answers, what each serving process does, and how the newest rollouts went."""
    return describe_rollouts(Workplace.open(project), limit)
