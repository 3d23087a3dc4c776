"""The evidence pages inside the Airflow web UI: reports from the store, and what is in quarantine.

Every route asks for a signed-in Airflow user. Reports show names that came with the data, so a page runs in a sandbox:
its scripts cannot reach the Airflow session of the person who reads it.
"""

import mimetypes
from functools import cache
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path
from fastapi.responses import HTMLResponse, Response

from include.contracts import PartitionKey
from include.errors import WindhoverError
from include.project import PROJECT_NAME
from include.settings import load_settings
from windhover.ui.quarantine import render_quarantine

SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}


@cache
def make_app() -> FastAPI:
    """Build the app Airflow's API server mounts under `/windhover`."""
    from airflow.api_fastapi.core_api.security import GetUserDep

    app = FastAPI(title="Windhover evidence", openapi_url=None)

    @app.get("/reports/{address:path}")
    def show_report(address: str, user: GetUserDep) -> Response:
        parts = address.split("/")
        if len(parts) < 3 or parts[1] != "reports" or {"", ".", ".."} & set(parts):
            raise HTTPException(404, f"{address!r} is not a report; reports live at <project>/reports/<kind>/<id>/")
        try:
            content = load_settings().open_store().read(address)
        except (WindhoverError, OSError, ValueError) as error:
            raise HTTPException(404, f"no report at {address!r}; was it pruned?") from error
        kind = mimetypes.guess_type(address)[0] or "application/octet-stream"
        return Response(content, media_type=kind, headers=SANDBOX)

    @app.get("/quarantine/{project}/{partition}", response_class=HTMLResponse)
    def show_quarantine(
        project: Annotated[str, Path(pattern=PROJECT_NAME)], partition: PartitionKey, user: GetUserDep
    ) -> HTMLResponse:
        try:
            page = render_quarantine(load_settings().open_store(), project, partition)
        except WindhoverError as error:
            raise HTTPException(404, f"no quarantine of {project} for {partition}; was the day ingested?") from error
        return HTMLResponse(page, headers=SANDBOX)

    return app
