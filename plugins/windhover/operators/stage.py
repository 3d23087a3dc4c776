"""What every operator of the pipeline has: a project, a store, a ledger, evidence for its links, and lineage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from include.project import Project
from include.settings import Settings, load_settings
from include.storage import Store
from windhover.hooks.ledger import LedgerHook

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from include.ledger import Ledger
    from include.tracking import Tracking
    from windhover.lineage import Data


def name_attempt(context: "Context") -> str:
    """Name who writes, the same for every attempt: a retry may take over the lease of the attempt it replaces."""
    return f"{context['dag_run'].dag_id}/{context['run_id']}"


class StageOperator(BaseOperator):
    """One stage of one project.

    `execute` leaves the references to what it read and wrote in `reads` and `writes`; OpenLineage asks for them, also
    when it failed.

    :param project: The whole project file as JSON, so that a run shows the values it worked with.
    """

    template_fields: Sequence[str] = ("project",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json"}
    evidence: dict[str, str]
    reads: "list[Data]"
    writes: "list[Data]"

    def __init__(self, *, project: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.evidence = {}
        self.reads = []
        self.writes = []

    def read_project(self) -> Project:
        """Validate the rendered project."""
        return Project.model_validate(self.project)

    def read_settings(self) -> Settings:
        """Read this machine's locations."""
        return load_settings()

    def open_store(self) -> Store:
        """Open the store."""
        return load_settings().open_store()

    def open_ledger(self) -> "Ledger":
        """Open the ledger with the credentials of its connection."""
        return LedgerHook().open_ledger()

    def open_tracking(self) -> "Tracking":
        """Open the MLflow server."""
        from include.tracking import Tracking

        return Tracking(load_settings().mlflow_uri, load_settings().mlflow_page)

    def get_openlineage_facets_on_complete(self, _: Any) -> "OperatorLineage[Any, Any]":
        """Describe what was read and written; Airflow's OpenLineage provider calls this under this name."""
        from windhover.lineage import describe_lineage

        return describe_lineage(self.reads, self.writes, load_settings())
