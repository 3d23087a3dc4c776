"""Verbs about incidents: what is open, who takes it on, how it ended, and what follows from it."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from include.cli.options import By, Json, ProjectName, Reason
from include.cli.terminal import reporting
from include.cli.workplace import Workplace
from include.contracts import Contract, IncidentReport
from include.errors import ArtifactNotFoundError

Number = Annotated[int, typer.Argument(min=1, help="Number of the incident.")]
Limit = Annotated[int, typer.Option(min=1, help="How many, newest first.")]
What = Annotated[str, typer.Option("--what", help="One line.")]

app = typer.Typer(no_args_is_help=True)
incidents = typer.Typer(no_args_is_help=True, help=__doc__)
action = typer.Typer(
    no_args_is_help=True, help="Corrective actions: what is to be done so that it does not come again."
)
app.add_typer(incidents, name="incidents")
incidents.add_typer(action, name="action")


@incidents.command(name="list")
@reporting
def list_all(
    project: ProjectName,
    every: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    limit: Limit = 20,
    as_json: Json = False,
) -> Any:
    """List what is not resolved, of the project and of the platform, and how long people take to answer and end it."""
    from include.ledger.changes import PLATFORM
    from include.ledger.incidents import list_incidents

    workplace = Workplace.open(project)
    ledger, wanted = workplace.ledger, (workplace.project.name, PLATFORM)
    found = [one for name in wanted for one in list_incidents(ledger, name, limit, unresolved=not every)]
    newest = sorted(found, key=lambda one: one.id, reverse=True)[:limit]
    shown = {"id", "project", "severity", "state", "kind", "title", "owner", "opened_at", "seen", "runbook"}
    return {"incidents": [one.model_dump(mode="json", include=shown) for one in newest], **_measure(workplace)}


@incidents.command()
@reporting
def show(project: ProjectName, number: Number, as_json: Json = False) -> Contract:
    """Show an incident with its timeline, what changed before it, and its corrective actions."""
    return _find(Workplace.open(project), number)


@incidents.command(name="open")
@reporting
def open_one(
    project: ProjectName,
    title: Annotated[str, typer.Option(help="What is wrong, in one line.")],
    by: By,
    impact: Annotated[str, typer.Option(help="high, medium or low: how much of the service it concerns.")] = "medium",
    urgency: Annotated[str, typer.Option(help="high, medium or low: how soon it must be over.")] = "medium",
    as_json: Json = False,
) -> Contract:
    """Open an incident by hand; the same title, while it is not resolved, is the same incident."""
    from include.ledger.incidents import open_incident

    workplace = Workplace.open(project)
    told: dict[str, Any] = {"key": f"manual/{title}", "title": title, "impact": impact, "urgency": urgency}
    runbook, owner = "docs/incidents.md#opened-by-hand", workplace.project.owner
    number = open_incident(
        workplace.ledger, workplace.project.name, kind="manual", runbook=runbook, owner=owner, who=by, **told
    )
    return _seal(workplace, number)


@incidents.command()
@reporting
def acknowledge(project: ProjectName, number: Number, by: By, reason: Reason = "", as_json: Json = False) -> Contract:
    """Take an incident on; it is no longer handed on."""
    from include.ledger.incidents import acknowledge_incident

    workplace = Workplace.open(project)
    acknowledge_incident(workplace.ledger, _find(workplace, number).id, who=by, why=reason)
    return _seal(workplace, number)


@incidents.command()
@reporting
def note(project: ProjectName, number: Number, what: What, by: By, as_json: Json = False) -> Contract:
    """Write a line onto an incident's timeline."""
    from include.ledger.incidents import add_note

    workplace = Workplace.open(project)
    add_note(workplace.ledger, _find(workplace, number).id, who=by, what=what)
    return _seal(workplace, number)


@incidents.command()
@reporting
def resolve(
    project: ProjectName,
    number: Number,
    reason: Reason,
    by: By,
    lesson: Annotated[str, typer.Option(help="What to do otherwise from now on; may be given later.")] = "",
    as_json: Json = False,
) -> Any:
    """Close an incident, and draft its post-mortem."""
    from include.ledger.incidents import resolve_incident

    workplace = Workplace.open(project)
    resolve_incident(workplace.ledger, _find(workplace, number).id, who=by, why=reason, lesson=lesson)
    return {**_seal(workplace, number).model_dump(mode="json"), "post_mortem": _draft(workplace, number)}


@incidents.command()
@reporting
def post_mortem(project: ProjectName, number: Number, as_json: Json = False) -> Any:
    """Draft the post-mortem of an incident anew; the answer is where it lies in the store."""
    workplace = Workplace.open(project)
    return {"post_mortem": _draft(workplace, _find(workplace, number).id)}


@incidents.command()
@reporting
def lessons(project: ProjectName, limit: Limit = 50, as_json: Json = False) -> Any:
    """List what was learned from incidents."""
    from include.ledger.incidents import list_lessons

    workplace = Workplace.open(project)
    learned = list_lessons(workplace.ledger, workplace.project.name, limit)
    shown = {"id", "kind", "title", "opened_at", "lesson"}
    return {"lessons": [one.model_dump(mode="json", include=shown) for one in learned]}


@action.command()
@reporting
def add(
    project: ProjectName,
    number: Number,
    what: What,
    owner: Annotated[str, typer.Option(help="Who does it.")],
    by: By,
    due: Annotated[datetime | None, typer.Option(help="Until when, in UTC.")] = None,
    as_json: Json = False,
) -> Contract:
    """Note what is to be done after an incident."""
    from include.ledger.corrective_actions import add_action

    workplace = Workplace.open(project)
    until = due.replace(tzinfo=UTC) if due else None
    add_action(workplace.ledger, _find(workplace, number).id, who=by, what=what, owner=owner, due=until)
    return _seal(workplace, number)


@action.command()
@reporting
def done(
    project: ProjectName,
    number: Number,
    which: Annotated[int, typer.Argument(min=1, help="Number of the action.")],
    by: By,
    reason: Reason = "",
    as_json: Json = False,
) -> Contract:
    """Note that an action is done."""
    from include.ledger.corrective_actions import finish_action

    workplace = Workplace.open(project)
    if which not in {one.id for one in _find(workplace, number).actions}:
        raise ArtifactNotFoundError(f"incident {number} has no corrective action {which}; `incidents show` lists them")
    finish_action(workplace.ledger, which, who=by, why=reason)
    return _seal(workplace, number)


def _find(workplace: Workplace, number: int) -> IncidentReport:
    from include.ledger.changes import PLATFORM
    from include.ledger.incidents import find_incident

    found = find_incident(workplace.ledger, number)
    if found.project not in {workplace.project.name, PLATFORM}:
        raise ArtifactNotFoundError(f"incident {number} is one of {found.project}, not of {workplace.project.name}")
    return found


def _seal(workplace: Workplace, number: int) -> IncidentReport:
    """Seal what was done, and return the incident as it stands then."""
    from include.ledger.audit import seal_chain

    done = _find(workplace, number)
    seal_chain(workplace.ledger, done.project, workplace.store)
    return done


def _draft(workplace: Workplace, number: int) -> str:
    from include.monitoring.post_mortem import write_post_mortem

    return write_post_mortem(number, workplace.ledger, workplace.store, datetime.now(UTC))


def _measure(workplace: Workplace) -> dict[str, Any]:
    """Say how long people took, in minutes."""
    from include.ledger.response_times import LOOKED_BACK, measure_response

    times = measure_response(workplace.ledger, workplace.project.name, datetime.now(UTC) - LOOKED_BACK)
    minutes = {"acknowledge": times.to_acknowledge, "resolve": times.to_resolve}
    return {f"minutes_to_{name}": time and round(time.total_seconds() / 60, 1) for name, time in minutes.items()}
