"""
### Maintain platform

Keeps the project's dataset small and quick.

**Runs** every Sunday night. `compact_dataset` joins the small fragments that daily publications leave; the content, and
so its digest, stays the same. `clean_versions` removes versions older than `data.keep_versions_days` that no candidate,
certified or serving model was made of, and what killed attempts left behind. `clean_staging` removes what ingestion
staged and unpacked for days that were validated longer ago than that. **Produces** no asset: nothing downstream runs.

**Safe to clear and re-run:** what is joined or removed already is left alone.

**Backfill:** pointless, but harmless: it maintains the dataset as it is now.

Runbook: `docs/runbook.md#maintain_platform`
"""

from airflow.sdk import CronTriggerTimetable, dag, literal

from include.project import Project
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.maintenance import CleanStagingOperator, CleanVersionsOperator, CompactDatasetOperator

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

    maintain_platform()


for project in load_valid_projects():
    make_dag(project)
