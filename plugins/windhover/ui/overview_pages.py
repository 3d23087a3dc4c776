"""The page that shows a project whole, how it stays up to date, and what it is drawn with."""

from dataclasses import dataclass
from datetime import UTC
from typing import Annotated, Any, get_args

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from include.contracts import Action, Level
from windhover.links import PAGES
from windhover.ui.actions import NOTICES, ProjectName
from windhover.ui.airflow_api import AirflowApi, open_api
from windhover.ui.attention import LOOKED
from windhover.ui.figures import FIGURES, Figure
from windhover.ui.operations import LOOP, Operations, read_operations
from windhover.ui.overview import SHOWN, UNREADABLE, Overview
from windhover.ui.places import open_ledger, open_store, read_project
from windhover.ui.rights import list_visible_projects, may_act, may_look, sign_form
from windhover.ui.rollouts import measure_evidence
from windhover.ui.static import FILES, name_file
from windhover.ui.story import HEADLINES, judge_story, tell_story
from windhover.ui.templates import render

SPANS = {1: "24 hours", 7: "7 days", 30: "30 days", 365: "a year"}
# What is drawn anew by itself, with its title.
PANELS = {
    "story": "What is going on",
    "loop": "The loop",
    "glance": "At a glance",
    "questions": "Waiting for a person",
    "incidents": "Incidents",
    "release": "Who answers",
    "episodes": "Drift episodes",
    "windows": "The last windows as numbers",
    "objectives": "Objectives",
    "data": "Data",
    "models": "Models",
    "host": "This machine",
    "audit": "Audit trail",
}
STATES = {"success": "done", "failed": "failed", "running": "runs", "queued": "waits", "never": "never ran"}
LIVE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Days = Annotated[int, Query(ge=1, le=366)]
Api = Annotated[AirflowApi, Depends(open_api)]
router = APIRouter(prefix="/overview")


@dataclass(frozen=True)
class Reader:
    """Who looks at a project's page.

    :ivar act: Whether their role lets them act.
    :ivar token: What a form of theirs must bring back.
    """

    name: str
    act: bool
    token: str


@router.get("")
def find_overview(user: GetUserDep) -> Response:
    """Lead to the first project that the user may look at."""
    projects, problems = list_visible_projects(user)
    if projects:
        return RedirectResponse(f"{PAGES}/overview/{projects[0].name}", 303)
    why = "; ".join(map(str, problems)) or "`make new-project NAME=…` writes one"
    raise HTTPException(404, f"there is no project to look at: {why}")


@router.get("/{project}")
async def show_overview(project: ProjectName, user: GetUserDep, api: Api, days: Days = 7, done: str = "") -> Response:
    """Show a project whole."""
    reader, operations = _read_reader(user, project), await read_operations(api, project)
    page = await run_in_threadpool(_render_page, project, days, reader, operations, user, done)
    return HTMLResponse(page, headers=LIVE)


@router.get("/{project}/live")
async def show_live(project: ProjectName, user: GetUserDep, api: Api, days: Days = 7) -> Response:
    """Send the panels and charts of a project's page as they are now."""
    reader, operations = _read_reader(user, project), await read_operations(api, project)
    return JSONResponse(await run_in_threadpool(_read_live, project, days, reader, operations), headers=LIVE)


def _read_reader(user: Any, project: str) -> Reader:
    if not may_look(user, project):
        raise HTTPException(403, f"your role may not look at {project}; ask who gives out roles in Airflow")
    return Reader(user.get_name(), may_act(user, project), sign_form(user))


def _render_page(project: str, days: int, reader: Reader, operations: Operations, user: Any, done: str) -> str:
    view = _open_view(project, days)
    projects, problems = list_visible_projects(user)
    return render(
        "overview.html",
        view=view,
        panels=_render_panels(view, reader, operations),
        titles=PANELS,
        projects=projects,
        problems=problems,
        spans=SPANS,
        notice=NOTICES.get(done, ""),
        reader=reader,
        files={name: name_file(name) for name in FILES},
    )


def _read_live(project: str, days: int, reader: Reader, operations: Operations) -> dict[str, Any]:
    view = _open_view(project, days)
    return {
        "at": view.now.isoformat(timespec="seconds"),
        "panels": _render_panels(view, reader, operations),
        "figures": {name: _draw(name, view) for name in FIGURES},
    }


def _open_view(project: str, days: int) -> Overview:
    view = Overview(read_project(project), open_store(), open_ledger(), days)
    # Without the ledger there is nothing to say; what else is away is said where it is missed.
    _ = view.service
    return view


def _render_panels(view: Overview, reader: Reader, operations: Operations) -> dict[str, str]:
    return {name: _render_panel(name, view, reader, operations) for name in PANELS}


def _render_panel(name: str, view: Overview, reader: Reader, operations: Operations) -> str:
    try:
        panel = render(
            f"panels/{name}.html",
            view=view,
            airflow=operations,
            act=reader.act,
            token=reader.token,
            tell=tell_story,
            judge=judge_story,
            headlines=HEADLINES,
            measure=measure_evidence,
            loop_dags=LOOP,
            states=STATES,
            levels=get_args(Level),
            actions=get_args(Action),
            most=SHOWN,
            looked=LOOKED,
            utc=UTC,
        )
        # A card without a word is not shown.
        return panel.strip()
    except UNREADABLE as error:
        return render("panels/fault.html", problem=str(error))


def _draw(name: str, view: Overview) -> Figure | None:
    try:
        return FIGURES[name](view)
    except UNREADABLE:
        # The panel beside it says why.
        return None
