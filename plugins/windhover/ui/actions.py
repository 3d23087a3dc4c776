"""What can be done from a project's page: through the DAGs, as from Airflow's own forms, or in the ledger.

Airflow's roles say who may; a deed is kept with the name of who did it.
"""

from datetime import UTC, date, datetime, time
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field

from include.contracts import Action as ActionName
from include.contracts import Level
from include.project import PROJECT_NAME
from windhover.links import PAGES
from windhover.ui.airflow_api import AirflowApi, AskingTask, open_api
from windhover.ui.places import open_ledger, read_project
from windhover.ui.rights import is_own_form, may_act

NOTICES = {
    "switched": "The switch begins: a run of switch_release is on its way.",
    "retired": "The retirement begins: a run of retire_model is on its way.",
    "answered": "Your answer is with the task.",
    "opened": "The incident is open.",
    "acknowledged": "You are on it; it no longer escalates.",
    "chosen": "A run of monitor_model is on its way, and answers as you said.",
    "resolved": "The incident is resolved.",
    "noted": "It is noted as something to do.",
    "finished": "It is done, and on the incident's timeline.",
}
# What is left empty is none.
FIELD, OPTIONAL = "field.", "optional."
ProjectName = Annotated[str, Path(pattern=PROJECT_NAME)]
Number = Annotated[int, Path(ge=1, lt=2**63)]
Name = Annotated[str, Form(min_length=1, max_length=250)]
Chosen = Annotated[Level, Form()]
Action = Annotated[ActionName, Form()]
Line = Annotated[str, Form(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
Lesson = Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), lt=date(2100, 1, 1))]


def require_actor(project: ProjectName, user: GetUserDep, token: Annotated[str, Form()] = "") -> BaseUser:
    """Let nobody through whose role does not allow it, nor a form that another site has sent.

    :raises HTTPException: 403.
    """
    if not may_act(user, project):
        raise HTTPException(403, f"your role may not act on {project}; ask who gives out roles in Airflow")
    if not is_own_form(token, user):
        raise HTTPException(403, "this form is too old, or is not of your own page; open the page anew")
    return user


Actor = Annotated[BaseUser, Depends(require_actor)]
Api = Annotated[AirflowApi, Depends(open_api)]
router = APIRouter(prefix="/overview/{project}")


@router.post("/switches")
async def switch_release(
    project: ProjectName,
    to: Annotated[str, Form(pattern=r"^(previous|next|[1-9]\d{0,8})$")],
    reason: Line,
    actor: Actor,
    api: Api,
) -> Response:
    """Let another release answer."""
    await api.trigger(f"{project}.switch_release", {"to": to, "reason": reason}, _note(actor, reason))
    return _return_to(project, "switched")


@router.post("/retirements")
async def retire_model(
    project: ProjectName, version: Annotated[int, Form(ge=1, lt=2**31)], reason: Line, actor: Actor, api: Api
) -> Response:
    """Archive a version and remove the originals."""
    await api.trigger(f"{project}.retire_model", {"version": version, "reason": reason}, _note(actor, reason))
    return _return_to(project, "retired")


@router.post("/answers")
async def answer_task(  # noqa: PLR0913 - what names a task, and the answer
    project: ProjectName,
    request: Request,
    dag: Name,
    run: Name,
    task: Name,
    index: Annotated[int, Form(ge=-1)],
    option: Name,
    actor: Actor,
    api: Api,
) -> Response:
    """Answer what a task of the project asks."""
    if not dag.startswith(f"{project}."):
        raise HTTPException(403, f"{dag} is no DAG of {project}")
    form = await request.form()
    fields: dict[str, str | None] = {
        name.removeprefix(FIELD): str(text) for name, text in form.items() if name.startswith(FIELD)
    }
    fields |= {
        name.removeprefix(OPTIONAL): str(text) or None for name, text in form.items() if name.startswith(OPTIONAL)
    }
    await api.answer(AskingTask(dag, run, task, index), option, fields)
    return _return_to(project, "answered")


@router.post("/incidents")
def open_incident(project: ProjectName, title: Line, impact: Chosen, urgency: Chosen, actor: Actor) -> Response:
    """Open an incident by hand."""
    from include.ledger import incidents

    incidents.open_incident(
        open_ledger(),
        project,
        kind="manual",
        key=f"manual/{title}",
        title=title,
        impact=impact,
        urgency=urgency,
        runbook="docs/incidents.md#opened-by-hand",
        owner=read_project(project).owner,
        who=actor.get_name(),
    )
    return _return_to(project, "opened")


@router.post("/incidents/{number}/acknowledgements")
def acknowledge_incident(project: ProjectName, number: Number, actor: Actor) -> Response:
    """Take an incident on."""
    from include.ledger import incidents

    ledger = open_ledger()
    _require_concerned(project, incidents.find_incident(ledger, number).project)
    incidents.acknowledge_incident(ledger, number, who=actor.get_name())
    return _return_to(project, "acknowledged")


@router.post("/incidents/{number}/resolutions")
def resolve_incident(project: ProjectName, number: Number, reason: Line, actor: Actor, lesson: Lesson = "") -> Response:
    """Close an incident."""
    from include.ledger import incidents

    ledger = open_ledger()
    _require_concerned(project, incidents.find_incident(ledger, number).project)
    incidents.resolve_incident(ledger, number, who=actor.get_name(), why=reason, lesson=lesson.strip())
    return _return_to(project, "resolved")


@router.post("/corrective-actions")
def add_action(
    project: ProjectName,
    incident: Annotated[int, Form(ge=1, lt=2**63)],
    what: Line,
    owner: Line,
    actor: Actor,
    due: Annotated[Day | None, Form()] = None,
) -> Response:
    """Note what is to be done so that an incident does not come again."""
    from include.ledger import corrective_actions, incidents

    ledger = open_ledger()
    _require_concerned(project, incidents.find_incident(ledger, incident).project)
    until = datetime.combine(due, time(), UTC) if due else None
    corrective_actions.add_action(ledger, incident, who=actor.get_name(), what=what, owner=owner, due=until)
    return _return_to(project, "noted")


@router.post("/corrective-actions/{number}/completions")
def finish_action(project: ProjectName, number: Number, actor: Actor) -> Response:
    """Note that a corrective action is done."""
    from include.ledger import corrective_actions, incidents

    ledger = open_ledger()
    found = corrective_actions.find_action(ledger, number)
    _require_concerned(project, incidents.find_incident(ledger, found.incident).project)
    corrective_actions.finish_action(ledger, number, who=actor.get_name())
    return _return_to(project, "finished")


@router.post("/actions")
async def choose_action(project: ProjectName, action: Action, reason: Line, actor: Actor, api: Api) -> Response:
    """Let the episode that is not over be answered otherwise than the policy has it."""
    await api.trigger(f"{project}.monitor_model", {"action": action, "reason": reason}, _note(actor, reason))
    return _return_to(project, "chosen")


def _require_concerned(project: str, found: str) -> None:
    """Refuse what is not about the project for which the role was asked, nor about the platform of all."""
    from include.ledger.changes import PLATFORM

    if found not in {project, PLATFORM}:
        raise HTTPException(404, f"{project} has nothing of this number")


def _note(actor: BaseUser, reason: str) -> str:
    return f"{actor.get_name()}: {reason}"


def _return_to(project: str, done: str) -> Response:
    return RedirectResponse(f"{PAGES}/overview/{project}?done={done}", 303)
