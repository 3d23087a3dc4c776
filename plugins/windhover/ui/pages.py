"""The evidence pages inside the Airflow web UI: datasets, lineage, models, rollouts, the audit chain, reports.

Every route asks for a signed-in Airflow user. Reports show names that came with the data, so a page runs in a sandbox:
its scripts cannot reach the Airflow session of the person who reads it. Our own pages have no scripts at all.
"""

import mimetypes
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import AfterValidator

from include.contracts import Digest, PartitionKey
from include.errors import ServiceUnavailableError, WindhoverError
from include.project import PROJECT_NAME, Project, load_project, load_projects
from include.settings import load_settings
from windhover.ui.audit import render_audit, render_audits
from windhover.ui.catalogue import render_catalogue
from windhover.ui.datasets import render_dataset, render_difference
from windhover.ui.lineage import render_lineage
from windhover.ui.models import render_models, render_project_models, render_version
from windhover.ui.quarantine import render_quarantine
from windhover.ui.rollouts import render_project_rollouts, render_rollouts
from windhover.ui.templates import render

if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.storage import Store

SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}
# A page without scripts may keep its origin, which its links need: a browser sends no session along from a sandbox.
SCRIPTLESS = {
    "Content-Security-Policy": "sandbox allow-same-origin allow-forms allow-popups; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}
# Kinds of reports that are written by us, without scripts, and have links.
OURS = ("datasheets", "release_notes")
ProjectName = Annotated[str, Path(pattern=PROJECT_NAME)]
# As far as a column of the ledger counts.
Number = Annotated[int, Path(ge=1, lt=2**63)]
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
    from airflow.api_fastapi.core_api.security import get_user

    signed_in = [Depends(get_user)]
    app = FastAPI(title="Windhover evidence", openapi_url=None, dependencies=signed_in)
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
    app.add_exception_handler(WindhoverError, show_problem)
    return app


def show_report(address: str) -> Response:
    """Send one file of a report from the store."""
    parts = address.split("/")
    if len(parts) < 3 or parts[1] != "reports" or {"", ".", ".."} & set(parts):
        raise HTTPException(404, f"{address!r} is not a report; reports live at <project>/reports/<kind>/<id>/")
    try:
        content = load_settings().open_store().read(address)
    except (WindhoverError, OSError, ValueError) as error:
        raise HTTPException(404, f"no report at {address!r}; was it pruned?") from error
    kind = mimetypes.guess_type(address)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=SCRIPTLESS if parts[2] in OURS else SANDBOX)


def show_catalogue() -> Response:
    """List every dataset."""
    projects, problems = load_projects(load_settings().projects)
    return _send(render_catalogue(projects, problems, _open_ledger()))


def show_dataset(project: ProjectName) -> Response:
    """Show one dataset's versions, their quality, and who used them."""
    return _send(render_dataset(_read_project(project), _open_store(), _open_ledger()))


def show_difference(project: ProjectName, before: int, after: int) -> Response:
    """Show what one dataset version has that another has not."""
    return _send(render_difference(_read_project(project), before, after, _open_store(), _open_ledger()))


def show_lineage(project: ProjectName, image: Digest | None = None, source: str | None = None) -> Response:
    """Follow an image, or a delivered file."""
    page = render_lineage(_read_project(project), _open_store(), _open_ledger(), image=image, source=source)
    return _send(page)


def show_quarantine(project: ProjectName, partition: PartitionKey) -> Response:
    """Show what one partition has in quarantine."""
    return _send(render_quarantine(_read_project(project), partition, _open_store(), _open_ledger()))


def show_models() -> Response:
    """List the newest certified versions of every project."""
    projects, problems = load_projects(load_settings().projects)
    return _send(render_models(projects, problems, _open_store(), _open_ledger()))


def show_project_models(project: ProjectName, before: Before = None) -> Response:
    """List the certified versions of one project."""
    return _send(render_project_models(_read_project(project), _open_store(), _open_ledger(), before))


def show_version(project: ProjectName, version: Number) -> Response:
    """Show what one version was certified with."""
    return _send(render_version(_read_project(project), version, _open_store(), _open_ledger()))


def show_rollouts() -> Response:
    """Show what serves every project, and its rollout under way."""
    projects, problems = load_projects(load_settings().projects)
    return _send(render_rollouts(projects, problems, _open_ledger()))


def show_project_rollouts(project: ProjectName) -> Response:
    """Show what serves one project, and its rollouts so far."""
    return _send(render_project_rollouts(_read_project(project), _open_ledger()))


def show_audits() -> Response:
    """Say whether the audit chain of every project holds."""
    projects, problems = load_projects(load_settings().projects)
    return _send(render_audits(projects, problems, _open_store(), _open_ledger()))


def show_audit(project: ProjectName, at: Moment | None = None, before: Before = None) -> Response:
    """Show one project's audit chain, and who was champion at a moment."""
    return _send(render_audit(_read_project(project), _open_store(), _open_ledger(), at=at, before=before))


def show_problem(request: Request, problem: Exception) -> Response:
    """Say in a sentence why there is no page."""
    status = 503 if isinstance(problem, ServiceUnavailableError) else 404
    return _send(render("problem.html", problem=str(problem)), status)


def _send(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, SCRIPTLESS)


def _read_project(name: str) -> Project:
    return load_project(load_settings().projects / f"{name}.yaml")


def _open_store() -> "Store":
    return load_settings().open_store()


def _open_ledger() -> "Ledger":
    from airflow.sdk.exceptions import AirflowNotFoundException

    from windhover.hooks.ledger import LedgerHook

    try:
        return LedgerHook().open_ledger()
    except AirflowNotFoundException as error:
        raise ServiceUnavailableError(f"{error}; see airflow_settings.yaml") from error
