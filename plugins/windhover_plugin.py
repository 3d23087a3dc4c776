"""Registers what Airflow must discover at start-up."""

from airflow.plugins_manager import AirflowPlugin

from windhover.links import DATA_DOCS, DRIFT_REPORT, ENDPOINT, MLFLOW_RUN, MODEL_CARD, PAGES, QUARANTINE
from windhover.ui.pages import make_app


class WindhoverPlugin(AirflowPlugin):
    """The evidence pages of the pipeline, and the buttons that lead to them."""

    name = "windhover"
    fastapi_apps = [{"app": make_app(), "url_prefix": PAGES, "name": "windhover"}]  # noqa: RUF012 - Airflow's contract
    operator_extra_links = [DATA_DOCS, QUARANTINE, MLFLOW_RUN, MODEL_CARD, ENDPOINT, DRIFT_REPORT]  # noqa: RUF012
