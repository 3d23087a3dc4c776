"""Operators that train models."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from windhover.assets import announce, triggering_events, without_mark
from windhover.links import MLFLOW_RUN
from windhover.operators.stage import StageOperator
from windhover.runs import read_moment

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import DatasetRef
    from include.project import Project
    from include.tracking import Tracking


class SelectDatasetOperator(StageOperator):
    """Choose the dataset version to train on; skip when nothing was labelled since the last training.

    A run started by hand, or by an event of one of the task's inlets, trains in any case. What it trains for is
    recorded, and the mode left in the XCom `mode`.

    :param as_of: Train on what was known at this moment, ISO 8601; empty: on all there is.
    :param mode: How to train; empty: as the request or the project file says.
    """

    template_fields: Sequence[str] = ("project", "as_of", "mode")

    def __init__(self, *, as_of: str | None, mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of
        self.mode = mode

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.training.selection import select_dataset

        requests = [event.extra for asset in self.inlets for event in triggering_events(asset, context)]
        by_hand = context["dag_run"].run_type == "manual"
        as_of = read_moment(self.as_of) if self.as_of else None
        project, ledger, store = self.read_project(), self.open_ledger(), self.open_store()
        dataset = select_dataset(project, ledger, store, required=bool(requests) or by_hand, as_of=as_of)
        if dataset is None:
            raise AirflowSkipException("too little was labelled since the last training; there is nothing to learn")
        self._begin(project, dataset, requests, context)
        return dataset.model_dump(mode="json")

    def _begin(
        self, project: "Project", dataset: "DatasetRef", requests: list[dict[str, Any]], context: "Context"
    ) -> None:
        from include.contracts import RetrainingRequest
        from include.training.occasions import begin_training

        told = [without_mark(request) for request in requests]
        # An event that a person creates by hand may carry nothing.
        asked, run = [RetrainingRequest.model_validate(one) for one in told if one], context["dag_run"]
        by_hand = run.run_type == "manual" or len(asked) < len(told)
        person = (run.triggering_user_name or "somebody") if by_hand else None
        begun = begin_training(
            project, dataset, asked, self.open_ledger(), context["run_id"], by=person, mode=self.mode
        )
        self.log.info("trains %s, because: %s", begun.mode, begun.reason)
        context["ti"].xcom_push("mode", begun.mode)


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
        """Validate the project, with the form's values in it and what to begin from, and the dataset."""
        from include.contracts import DatasetRef
        from include.training.selection import override_training

        dataset = DatasetRef.model_validate(self.dataset)
        self.reads.append(dataset)
        project = override_training(self.read_project(), self.overrides)
        if project.training.mode == "warm_start":
            from include.training.warm_start import begin_from_champion

            project = begin_from_champion(project, self.open_ledger(), self.open_tracking())
        return project, dataset


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


class SettleTrainingOperator(StageOperator):
    """Record how the training ended, whatever happened to it, so that the next one may be asked for.

    :param model: A `ModelRef`; nothing where none was trained.
    """

    template_fields: Sequence[str] = ("project", "model")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "model": "json"}

    def __init__(self, *, model: dict[str, Any] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: "Context") -> str:
        from include.contracts import ModelRef
        from include.training.occasions import end_training

        model = ModelRef.model_validate(self.model) if self.model else None
        return end_training(self.read_project().name, model, self.open_ledger(), context["run_id"])
