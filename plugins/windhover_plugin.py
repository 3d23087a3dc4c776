"""Registers what Airflow must discover at start-up."""

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

from windhover import notes
from windhover.links import (
    CONTACT_SHEET,
    DATA_DOCS,
    DATASHEET,
    DRIFT_REPORT,
    EDA,
    ENDPOINT,
    EVALUATION,
    EXPLANATIONS,
    MLFLOW_RUN,
    MODEL_CARD,
    PAGES,
    PREDICTIONS,
    QUARANTINE,
    RELEASE_NOTES,
    ROLLOUTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Timetables:
    """Every task process loads this file, and hardly any of them asks for timetables."""

    def __iter__(self) -> "Iterator[type]":
        from windhover.timetables import DailyAssetTimetable

        yield DailyAssetTimetable


async def show_pages(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request; every task process loads this file, so that the pages are built on the first one."""
    from windhover.ui.pages import make_app

    # Whoever mounts this serves Airflow's API, too.
    await make_app()({**scope, "airflow": scope.get("app")}, receive, send)


class WindhoverPlugin(AirflowPlugin):
    """The evidence pages of the pipeline, and the buttons that lead to them."""

    name = "windhover"
    listeners = [notes]  # noqa: RUF012
    fastapi_apps = [{"app": show_pages, "url_prefix": PAGES, "name": "windhover"}]  # noqa: RUF012 - Airflow's contract
    external_views = [  # noqa: RUF012
        # Within Airflow's frame; a script of the page lets its links out of it.
        {
            "name": "Windhover",
            "href": f"{PAGES}/overview",
            "destination": "nav",
            "url_route": "windhover",
            "nav_top_level": True,
            "icon": f"{PAGES}/static/kestrel.svg",
        },
        # Without a route it opens as a page of its own: out of Airflow's frame no link could lead. Such an entry needs
        # a menu around it: at the top level Airflow 3.3 draws a button that leads nowhere.
        *(
            {"name": name, "href": f"{PAGES}/{page}", "destination": "nav", "category": "browse"}
            for name, page in (
                ("Datasets", "catalogue"),
                ("Models", "models"),
                ("Rollouts", "rollouts"),
                ("Audit", "audit"),
            )
        ),
    ]
    timetables = _Timetables()
    operator_extra_links = [  # noqa: RUF012
        DATA_DOCS, QUARANTINE, DATASHEET, EDA, MLFLOW_RUN, EVALUATION, EXPLANATIONS, MODEL_CARD, ENDPOINT, ROLLOUTS,
        RELEASE_NOTES, PREDICTIONS, DRIFT_REPORT, CONTACT_SHEET,
    ]  # fmt: skip
