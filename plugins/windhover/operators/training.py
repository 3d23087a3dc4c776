"""Operators that train models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce, triggering_events
from windhover.links import MLFLOW_RUN
from windhover.operators.stage import StageOperator, read_moment

if TYPE_CHECKING:
    from airflow.sdk import Context


class SelectDatasetOperator(StageOperator):
    """Choose the dataset version to train on; skip when nothing was labelled since the last training.

    A run started by hand, or by an event of one of the task's inlets, trains in any case.

    :param as_of: Train on what was known at this moment, ISO 8601; empty: on all there is.
    """

    template_fields: Sequence[str] = ("project", "as_of")

    def __init__(self, *, as_of: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.training.selection import select_dataset

        asked_for = any(triggering_events(asset, context) for asset in self.inlets)
        required = asked_for or context["dag_run"].run_type == "manual"
        as_of = read_moment(self.as_of) if self.as_of else None
        project, store = self.read_project(), self.open_store()
        dataset = select_dataset(project, self.open_ledger(), store, required=required, as_of=as_of)
        if dataset is None:
            raise AirflowSkipException("no image was labelled since the last training; there is nothing to learn")
        return dataset.model_dump(mode="json")


class TrainModelOperator(StageOperator):
    """Train one candidate from one dataset version.

    :param dataset: A `DatasetRef`.
    :param overrides: Values of the form that replace those of the project file's `training` section.
    """

    template_fields: Sequence[str] = ("project", "dataset", "overrides")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json", "overrides": "json"}
    operator_extra_links = (MLFLOW_RUN,)

    def __init__(self, *, dataset: dict[str, Any], overrides: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.overrides = overrides

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DatasetRef
        from include.training.fit import train_candidate
        from include.training.selection import override_training

        project = override_training(self.read_project(), self.overrides)
        dataset, tracking = DatasetRef.model_validate(self.dataset), self.open_tracking()
        self.reads.append(dataset)
        model = train_candidate(
            project, dataset, self.open_store(), self.open_ledger(), tracking, run_name=context["run_id"]
        )
        self.writes.append(model)
        self.evidence["MLflow run"] = tracking.run_url(model.run_id)
        announce(reference := model.model_dump(mode="json"), self.outlets, context)
        return reference
