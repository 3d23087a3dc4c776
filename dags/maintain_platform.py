"""
### Maintain platform

Keeps the project's dataset small and quick, and disposes of what nothing needs any more.

**Runs** every Sunday night. `compact_dataset` joins the small fragments that daily publications leave; the content, and
so its digest, stays the same. `clean_versions` removes versions older than `data.keep_versions_days` that no candidate,
certified or serving model was made of, and what killed attempts left behind. `clean_staging` removes what ingestion
staged and unpacked for days that were validated longer ago than that, and `clean_checkpoints` what trainings left that
were given up. `retire_models` archives certified versions that are older than `registry.retire_days` and neither named,
served nor held, each into a sealed bundle that can be asked again, and removes the originals. `clean_windows` removes
what checks of `monitor_model` froze longer ago than `monitoring.performance.label_days`. `compare_explanations`
holds what the answers to kept images rest on against the certified images; skipped where too few were kept.
**Produces** no asset: nothing downstream runs.

**Safe to clear and re-run:** what is joined or removed already is left alone.

**Backfill:** pointless, but harmless: it maintains the dataset as it is now.

Runbook: `docs/runbook.md#maintain_platform`
"""

from airflow.sdk import CronTriggerTimetable, dag, literal

from include.project import Project
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.maintenance import (
    CleanCheckpointsOperator,
    CleanStagingOperator,
    CleanVersionsOperator,
    CleanWindowsOperator,
    CompactDatasetOperator,
    CompareExplanationsOperator,
    RetireModelsOperator,
)

EVERY_WEEK = CronTriggerTimetable("0 3 * * 0", timezone="UTC")


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.maintain_platform",
        schedule=EVERY_WEEK,
        doc_md=__doc__,
        tags=[project.name, "maintenance"],
        **dag_defaults(project, max_active_runs=1),
    )
    def maintain_platform():
        values = literal(project.model_dump(mode="json"))
        compact_dataset = CompactDatasetOperator(task_id="compact_dataset", project=values)
        clean_versions = CleanVersionsOperator(task_id="clean_versions", project=values)
        clean_staging = CleanStagingOperator(task_id="clean_staging", project=values)
        compact_dataset >> clean_versions >> clean_staging
        # By themselves: a version that cannot be archived must not keep the dataset from being cleaned.
        RetireModelsOperator(task_id="retire_models", project=values)
        CleanCheckpointsOperator(task_id="clean_checkpoints", project=values)
        CleanWindowsOperator(task_id="clean_windows", project=values)
        CompareExplanationsOperator(task_id="compare_explanations", project=values)

    maintain_platform()


for project in load_valid_projects():
    make_dag(project)
