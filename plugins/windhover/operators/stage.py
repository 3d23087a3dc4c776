"""What every operator of the pipeline has: a project, a store, a ledger, and evidence for its links."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from include.project import Project
from include.settings import Settings, load_settings
from include.storage import Store
from windhover.hooks.ledger import LedgerHook

if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.tracking import Tracking


class StageOperator(BaseOperator):
    """One stage of one project.

    :param project: The whole project file as JSON, so that a run shows the values it worked with.
    """

    template_fields: Sequence[str] = ("project",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json"}
    evidence: dict[str, str]

    def __init__(self, *, project: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.evidence = {}

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
