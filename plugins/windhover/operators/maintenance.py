"""Operators that keep a project's dataset small and quick, and dispose of what nothing needs any more."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ArtifactNotFoundError
from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompactDatasetOperator(StageOperator):
    """Join the small fragments that many publications left; return the version, if that made one.

    Before anything was published there is nothing to maintain, and the run is skipped.
    """

    def execute(self, context: "Context") -> dict[str, Any] | None:
        from include.data.maintenance import compact_dataset

        try:
            dataset = compact_dataset(self.read_project(), self.open_store(), self.open_ledger(), name_attempt(context))
        except ArtifactNotFoundError as error:
            raise AirflowSkipException(f"nothing to maintain yet: {error}") from error
        if dataset is None:
            self.log.info("there is nothing to join")
            return None
        self.reads, self.writes = [dataset], [dataset]
        return dataset.model_dump(mode="json")


class CleanVersionsOperator(StageOperator):
    """Remove dataset versions that are old and that no model needs; return their numbers."""

    def execute(self, context: "Context") -> list[int]:
        from include.data.maintenance import clean_versions

        removed = clean_versions(self.read_project(), self.open_store(), self.open_ledger(), name_attempt(context))
        self.log.info("%d version(s) removed", len(removed))
        return list(removed)


class CleanStagingOperator(StageOperator):
    """Remove what ingestion staged for partitions that were settled long ago; return the addresses."""

    def execute(self, context: "Context") -> list[str]:
        from include.data.maintenance import clean_staging

        removed = clean_staging(self.read_project(), self.open_store(), self.open_ledger())
        self.log.info("%d address(es) removed", len(removed))
        return list(removed)


class RetireModelsOperator(StageOperator):
    """Archive and remove certified versions that are out of use and old; return their tombstones."""

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        from include.registry.retirement import retire_models

        places = self.open_store(), self.open_ledger(), self.open_tracking()
        retired = retire_models(self.read_project(), *places, name_attempt(context))
        self.log.info("%d version(s) retired", len(retired))
        return [tombstone.model_dump(mode="json") for tombstone in retired]


class CleanWindowsOperator(StageOperator):
    """Remove the predictions that were frozen for checks which are long over; return the addresses."""

    def execute(self, context: "Context") -> list[str]:
        from include.monitoring.profile import clean_windows

        removed = clean_windows(self.read_project(), self.open_store(), datetime.now(UTC))
        self.log.info("%d window(s) removed", len(removed))
        return removed


class CompareExplanationsOperator(StageOperator):
    """Hold what a week's answers rest on against the certified images; an incident says that it has moved.

    Where too few images were kept, the run is skipped.
    """

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.monitoring.explanation_drift import measure_explanation_drift, report_moved

        end = context["dag_run"].run_after
        project = self.read_project()
        report = measure_explanation_drift(project, end - timedelta(days=7), end, self.open_store())
        if report.verdict == "insufficient":
            raise AirflowSkipException(report.summary)
        self.log.info(report.summary)
        report_moved(project, report, self.open_ledger(), context["run_id"])
        return report.model_dump(mode="json")


class CleanCheckpointsOperator(StageOperator):
    """Remove the checkpoints of trainings that were never finished and are old; return the addresses."""

    def execute(self, context: "Context") -> list[str]:
        from include.training.checkpoints import clean_checkpoints

        project = self.read_project()
        limit = datetime.now(UTC) - timedelta(days=project.data.keep_versions_days)
        removed = clean_checkpoints(project, self.open_store(), limit)
        self.log.info("%d address(es) removed", len(removed))
        return list(removed)
