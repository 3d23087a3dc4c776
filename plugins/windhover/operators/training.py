"""Operators that train models."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce, triggering_events
from windhover.links import MLFLOW_RUN
from windhover.operators.stage import StageOperator, read_moment

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import DatasetRef
    from include.project import Project
    from include.tracking import Tracking


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


class InspectShortcutsOperator(StageOperator):
    """Warn of what a model could learn instead of what the images show; it stops nothing, people judge.

    :param dataset: A `DatasetRef`.
    """

    template_fields: Sequence[str] = ("project", "dataset")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json"}

    def __init__(self, *, dataset: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import DatasetRef
        from include.training.shortcuts import find_shortcuts

        dataset = DatasetRef.model_validate(self.dataset)
        self.reads.append(dataset)
        report = find_shortcuts(self.read_project(), dataset, self.open_store())
        for warning in report.warnings:
            self.log.warning("possible shortcut: %s", warning)
        self.log.info(
            "%d cues examined on %d images, %d warnings", len(report.cues), report.images, len(report.warnings)
        )
        return report.model_dump(mode="json")


class LearningOperator(StageOperator):
    """Learn from one dataset version with the settings of this run.

    :param dataset: A `DatasetRef`.
    :param overrides: Values of the form that replace those of the project file's `training` section.
    """

    template_fields: Sequence[str] = ("project", "dataset", "overrides")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "dataset": "json", "overrides": "json"}

    def __init__(self, *, dataset: dict[str, Any], overrides: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.overrides = overrides

    def read_inputs(self) -> "tuple[Project, DatasetRef]":
        """Validate the project, with the form's values in it, and the dataset."""
        from include.contracts import DatasetRef
        from include.training.selection import override_training

        dataset = DatasetRef.model_validate(self.dataset)
        self.reads.append(dataset)
        return override_training(self.read_project(), self.overrides), dataset


class RunTrialsOperator(LearningOperator):
    """Try settings of `training` beside the other tasks of this kind, until the budget is used up.

    :param worker: Number of this task.
    """

    def __init__(self, *, worker: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.worker = worker

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.training.trials import run_trials

        project, dataset = self.read_inputs()
        started = context["dag_run"].start_date or datetime.now(UTC)
        deadline = started + timedelta(minutes=project.tuning.minutes)
        places = self.open_store(), self.open_ledger(), self.open_tracking()
        return run_trials(project, dataset, *places, deadline).model_dump(mode="json")


class CrossValidateOperator(LearningOperator):
    """Train on all folds but one with the chosen settings, and measure on that one.

    :param fold: Number of the fold, from 0.
    """

    def __init__(self, *, fold: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fold = fold

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.training.choice import choose_settings
        from include.training.folds import cross_validate

        project, dataset = self.read_inputs()
        store, ledger, tracking = self.open_store(), self.open_ledger(), self.open_tracking()
        chosen = choose_settings(project, dataset, ledger, tracking)
        return cross_validate(chosen, dataset, store, ledger, tracking, self.fold).model_dump(mode="json")


class TrainModelOperator(LearningOperator):
    """Train one candidate from one dataset version, with the best settings that were found.

    :param folds: The `FoldReport` of every fold.
    """

    template_fields: Sequence[str] = (*LearningOperator.template_fields, "folds")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **LearningOperator.template_fields_renderers, "folds": "json"
    }  # fmt: skip
    operator_extra_links = (MLFLOW_RUN,)

    def __init__(self, *, folds: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folds = folds

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.training.choice import choose_settings
        from include.training.fit import train_candidate

        project, dataset = self.read_inputs()
        store, ledger, tracking = self.open_store(), self.open_ledger(), self.open_tracking()
        chosen = choose_settings(project, dataset, ledger, tracking)
        model = train_candidate(
            chosen, dataset, store, ledger, tracking, context["run_id"], context["dag_run"].triggering_user_name
        )
        self.writes.append(model)
        self.evidence["MLflow run"] = tracking.run_url(model.run_id)
        self._log_folds(tracking, model.run_id)
        announce(reference := model.model_dump(mode="json"), self.outlets, context)
        return reference

    def _log_folds(self, tracking: "Tracking", run_id: str) -> None:
        if not self.folds:
            return
        from include.contracts import FoldReport
        from include.training.folds import log_folds

        log_folds([FoldReport.model_validate(fold) for fold in self.folds], tracking, run_id)
