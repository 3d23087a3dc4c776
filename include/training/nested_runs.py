"""Write the trials and folds of one study into MLflow, as runs below one run."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from include.tracking import Tracking
from include.training.epochs import Epoch
from include.training.runs import finishing, log_epoch

STUDY_TAG = "windhover.study"
PART_TAG = "windhover.part"
WHOLE = "study"


class NestedRun:
    """One open MLflow run of a trial or a fold."""

    def __init__(self, tracking: Tracking, run_id: str) -> None:
        self.run_id = run_id
        self._tracking = tracking

    def add_epoch(self, epoch: Epoch) -> None:
        """Log one epoch as metrics."""
        log_epoch(self._tracking, self.run_id, epoch)

    def add_metrics(self, values: Mapping[str, float]) -> None:
        """Log metrics of the whole run."""
        now = int(time.time() * 1000)
        with self._tracking.connect() as client:
            client.log_batch(self.run_id, [Metric(name, float(value), now, 0) for name, value in values.items()])


def open_study_run(tracking: Tracking, project: str, study: str, run_name: str) -> NestedRun:
    """Find the run that holds the runs of a study, or make it. One process at a time may ask."""
    experiment = tracking.find_experiment(project)
    with tracking.connect() as client:
        for run_id, _ in _find_parts(client, experiment, study, WHOLE):
            return NestedRun(tracking, run_id)
        tags = {STUDY_TAG: study, PART_TAG: WHOLE}
        run = client.create_run(experiment, run_name=run_name, tags=tags)
        return NestedRun(tracking, run.info.run_id)


@contextmanager
def open_part(
    tracking: Tracking, parent: NestedRun, study: str, part: str, settings: Mapping[str, Any]
) -> Iterator[NestedRun]:
    """Open a run below a study's: FINISHED if the block ends, FAILED if it raises.

    Runs of the same part that a killed attempt left RUNNING are closed as KILLED first.
    """
    with tracking.connect() as client:
        experiment = client.get_run(parent.run_id).info.experiment_id
        for run_id, status in _find_parts(client, experiment, study, part):
            if status == RunStatus.to_string(RunStatus.RUNNING):
                client.set_terminated(run_id, "KILLED")
        tags = {STUDY_TAG: study, PART_TAG: part, MLFLOW_PARENT_RUN_ID: parent.run_id}
        run_id = client.create_run(experiment, run_name=part, tags=tags).info.run_id
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in settings.items()])
    with finishing(tracking, run_id):
        yield NestedRun(tracking, run_id)


def close_study_run(
    tracking: Tracking, parent: NestedRun, settings: Mapping[str, Any], measures: Mapping[str, float]
) -> None:
    """Write what a study chose into its run, and finish it; again changes nothing."""
    parent.add_metrics(measures)
    with tracking.connect() as client:
        for name, value in settings.items():
            client.set_tag(parent.run_id, f"best.{name}", str(value))
        client.set_terminated(parent.run_id, "FINISHED")


def _find_parts(client: MlflowClient, experiment: str, study: str, part: str) -> list[tuple[str, str]]:
    wanted = f"tags.`{STUDY_TAG}` = '{study}' and tags.`{PART_TAG}` = '{part}'"
    return [(run.info.run_id, run.info.status) for run in client.search_runs([experiment], wanted)]
