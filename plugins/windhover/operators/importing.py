"""The operator that takes in models from elsewhere."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from windhover.assets import announce
from windhover.links import MLFLOW_RUN
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImportModelOperator(StageOperator):
    """Make a candidate of the model file that the run's form names.

    The form is read here: a template field would make numbers of texts.

    :param dataset: The `DatasetRef` it is judged on.
    """

    template_fields: Sequence[str] = ("project", "dataset")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json"}
    operator_extra_links = (MLFLOW_RUN,)

    def __init__(self, *, dataset: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DatasetRef
        from include.storage import Store
        from include.training.importing import import_model, inbox_address
        from include.vision.foreign import read_foreign_model

        project, dataset = self.read_project(), DatasetRef.model_validate(self.dataset)
        self.reads.append(dataset)
        inbox = Store(self.read_settings().landing_uri)
        foreign = read_foreign_model(inbox, inbox_address(project.name, context["params"]["file"]))
        store, ledger, tracking = self.open_store(), self.open_ledger(), self.open_tracking()
        who = context["dag_run"].triggering_user_name
        model = import_model(foreign, project, dataset, store, ledger, tracking, context["run_id"], who)
        self.writes.append(model)
        self.evidence["MLflow run"] = tracking.run_url(model.run_id)
        announce(reference := model.model_dump(mode="json"), self.outlets, context)
        return reference
