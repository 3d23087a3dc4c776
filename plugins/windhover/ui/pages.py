"""The evidence pages inside the Airflow web UI: datasets, lineage, models, rollouts, the audit chain, reports.

Every route asks for a signed-in Airflow user, who may see the project's DAGs. Reports show names that came with the
data, so a page runs in a sandbox: its scripts cannot reach the Airflow session of the person who reads it. Our own
pages have no scripts at all, but for the overview, whose scripts are the files beside it.
"""

import mimetypes
from datetime import UTC, datetime
from functools import cache
from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from pydantic import AfterValidator

from include.contracts import Digest, PartitionKey
from include.errors import ServiceUnavailableError, WindhoverError
from include.ledger.changes import PLATFORM
from include.settings import load_settings
from windhover.ui.actions import Number, ProjectName
from windhover.ui.actions import router as actions
from windhover.ui.airflow_api import RefusedError
from windhover.ui.audit import render_audit, render_audits
from windhover.ui.catalogue import render_catalogue
from windhover.ui.datasets import render_dataset, render_difference
from windhover.ui.documentation import read_document
from windhover.ui.drift import render_drift
from windhover.ui.lineage import render_lineage
from windhover.ui.models import render_models, render_project_models, render_version
from windhover.ui.overview_pages import router as overview
from windhover.ui.places import open_ledger, open_store, read_project
from windhover.ui.quarantine import render_quarantine
from windhover.ui.rights import list_visible_projects, may_look
from windhover.ui.rollouts import render_project_rollouts, render_rollouts
from windhover.ui.static import KINDS, locate_file, name_file
from windhover.ui.templates import render

SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}
# A page without scripts may keep its origin, which its links need: a browser sends no session along from a sandbox.
SCRIPTLESS = {
    "Content-Security-Policy": "sandbox allow-same-origin allow-forms allow-popups; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}
# Kinds of reports that are written by us, without scripts, and have links.
OURS = ("datasheets", "release_notes", "post_mortem")
Before = Annotated[int | None, Query(ge=1, lt=2**63)]


def _read_moment(at: datetime) -> datetime:
    """Without a time zone it is UTC, as the forms say."""
    try:
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("no moment of the calendar in UTC") from error


Moment = Annotated[datetime, AfterValidator(_read_moment)]


@cache
def make_app() -> FastAPI:
    """Build the app Airflow's API server mounts under `/windhover`."""

    def require_look(request: Request, user: GetUserDep) -> None:
        """Let nobody look at a project whose DAGs Airflow's roles do not let them see."""
        project = request.path_params.get("project") or request.path_params.get("address", "").partition("/")[0]
        if project and project != PLATFORM and not may_look(user, project):
            raise HTTPException(403, f"your role may not look at {project}")

    app = FastAPI(title="Windhover evidence", openapi_url=None, dependencies=[Depends(require_look)])
    app.get("/reports/{address:path}")(show_report)
    app.get("/catalogue")(show_catalogue)
    app.get("/datasets/{project}")(show_dataset)
    app.get("/datasets/{project}/diff")(show_difference)
    app.get("/lineage/{project}")(show_lineage)
    app.get("/quarantine/{project}/{partition}")(show_quarantine)
    app.get("/models")(show_models)
    app.get("/models/{project}")(show_project_models)
    app.get("/models/{project}/{version}")(show_version)
    app.get("/rollouts")(show_rollouts)
    app.get("/rollouts/{project}")(show_project_rollouts)
    app.get("/audit")(show_audits)
    app.get("/audit/{project}")(show_audit)
    app.get("/docs/{name:path}")(show_document)
    app.get("/static/{name}")(send_file)
    app.get("/static/{digest}/{name}")(send_file)
    app.include_router(overview)
    app.include_router(actions)
    app.add_exception_handler(WindhoverError, show_problem)
    app.add_exception_handler(RefusedError, show_problem)
    return app


def show_report(address: str) -> Response:
    """Send one file of a report from the store, or the page of a window's drift as it was recorded."""
    parts = address.split("/")
    if len(parts) < 3 or parts[1] != "reports" or {"", ".", ".."} & set(parts):
        raise HTTPException(404, f"{address!r} is not a report; reports live at <project>/reports/<kind>/<id>/")
    store = load_settings().open_store()
    try:
        content = store.read(address)
    except (WindhoverError, OSError, ValueError) as error:
        if page := render_drift(store, address):
            return _send(page)
        raise HTTPException(404, f"no report at {address!r}; was it pruned?") from error
    kind = mimetypes.guess_type(address)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=SCRIPTLESS if parts[2] in OURS else SANDBOX)


def show_catalogue(user: GetUserDep) -> Response:
    """List every dataset that the user may see."""
    projects, problems = list_visible_projects(user)
    return _send(render_catalogue(projects, problems, open_ledger()))


def show_dataset(project: ProjectName) -> Response:
    """Show one dataset's versions, their quality, and who used them."""
    return _send(render_dataset(read_project(project), open_store(), open_ledger()))


def show_difference(project: ProjectName, before: int, after: int) -> Response:
    """Show what one dataset version has that another has not."""
    return _send(render_difference(read_project(project), before, after, open_store(), open_ledger()))


def show_lineage(project: ProjectName, image: Digest | None = None, source: str | None = None) -> Response:
    """Follow an image, or a delivered file."""
    page = render_lineage(read_project(project), open_store(), open_ledger(), image=image, source=source)
    return _send(page)


def show_quarantine(project: ProjectName, partition: PartitionKey) -> Response:
    """Show what one partition has in quarantine."""
    return _send(render_quarantine(read_project(project), partition, open_store(), open_ledger()))


def show_models(user: GetUserDep) -> Response:
    """List the newest certified versions of every project that the user may see."""
    projects, problems = list_visible_projects(user)
    return _send(render_models(projects, problems, open_store(), open_ledger()))


def show_project_models(project: ProjectName, before: Before = None) -> Response:
    """List the certified versions of one project."""
    return _send(render_project_models(read_project(project), open_store(), open_ledger(), before))


def show_version(project: ProjectName, version: Number) -> Response:
    """Show what one version was certified with."""
    return _send(render_version(read_project(project), version, open_store(), open_ledger()))


def show_rollouts(user: GetUserDep) -> Response:
    """Show what serves every project that the user may see, and its rollout under way."""
    projects, problems = list_visible_projects(user)
    return _send(render_rollouts(projects, problems, open_ledger()))


def show_project_rollouts(project: ProjectName) -> Response:
    """Show what serves one project, and its rollouts so far."""
    return _send(render_project_rollouts(read_project(project), open_ledger()))


def show_audits(user: GetUserDep) -> Response:
    """Say whether the audit chain of every project that the user may see holds."""
    projects, problems = list_visible_projects(user)
    return _send(render_audits(projects, problems, open_store(), open_ledger()))


def show_audit(project: ProjectName, at: Moment | None = None, before: Before = None) -> Response:
    """Show one project's audit chain, and who was champion at a moment."""
    return _send(render_audit(read_project(project), open_store(), open_ledger(), at=at, before=before))


def show_document(name: str) -> Response:
    """Show a page of the documentation."""
    return _send(render("document.html", name=name, text=read_document(name)))


def send_file(name: str, digest: str = "") -> Response:
    """Send one of the files that pages are drawn with; under the digest of its content it may be kept for good."""
    path = locate_file(name)
    if path is None or (digest and name_file(name) != f"static/{digest}/{name}"):
        raise HTTPException(404, f"no file {name!r}; open the page anew")
    kept = "private, max-age=31536000, immutable" if digest else "private, max-age=3600"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=KINDS[path.suffix], headers=headers)


def show_problem(request: Request, problem: Exception) -> Response:
    """Say in a sentence why there is no page, or why something was not done."""
    status = 409 if request.method == "POST" else 404
    if isinstance(problem, ServiceUnavailableError):
        status = 503
    elif isinstance(problem, RefusedError):
        status = problem.status
    return _send(render("problem.html", problem=str(problem), asked=request.method == "POST"), status)


def _send(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, SCRIPTLESS)
