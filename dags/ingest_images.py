"""
### Ingest images

Turns one day's delivery into part of a new dataset version.

**Runs** once a day, one partition a day, and waits for that day's delivery to be complete. A source without days is one
partition, `snapshot`: each run looks at the whole of it. **Produces** `curated_dataset`, and for every version a
datasheet and a report of what is in it: the *Datasheet* and *EDA* buttons of `describe_dataset`.

**Safe to clear and re-run**, as often as you like: the same delivery gives the same bytes. Where the content is what it
was before, there is no new version and `announce_dataset` is skipped, so that nothing downstream runs. Labels that came
later are picked up by re-running their day.

**Backfill** any range of days, in any order. A backfill publishes silently: it starts no training, so that it promotes
and deploys nothing.

**Bad images** land in quarantine with a reason and never stop a run, up to the limit in the project file; see the
*Quarantine* and *Data Docs* buttons of `validate_images`. Beyond it the day fails, until the delivery is corrected or
`release_quarantine` lets it pass.

Runbook: `docs/runbook.md#ingest_images`
"""

from datetime import timedelta

from airflow.sdk import CronPartitionTimetable, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.data import (
    AnnounceDatasetOperator,
    CollectBatchOperator,
    DescribeDatasetOperator,
    IngestImagesOperator,
    PublishDatasetOperator,
    ValidateImagesOperator,
)
from windhover.sensors.data import CompleteBatchSensor

EVERY_DAY = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d")


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.ingest_images",
        schedule=EVERY_DAY,
        doc_md=__doc__,
        tags=[project.name, "data"],
        **dag_defaults(project),
    )
    def ingest_images():
        values = literal(project.model_dump(mode="json"))
        wait_for_batch = CompleteBatchSensor(
            task_id="wait_for_batch",
            project=values,
            partition="{{ dag_run.partition_key }}",
            poke_interval=2,
            timeout=timedelta(hours=36).total_seconds(),
        )
        collect_batch = CollectBatchOperator(task_id="collect_batch", project=values, batch=wait_for_batch.output)
        ingest = IngestImagesOperator.partial(
            task_id="ingest", project=values, map_index_template="shard {{ task.shard.index }}"
        ).expand(shard=collect_batch.output)
        validate_images = ValidateImagesOperator(task_id="validate_images", project=values, shards=ingest.output)
        publish_dataset = PublishDatasetOperator(
            task_id="publish_dataset", project=values, validation=validate_images.output
        )
        AnnounceDatasetOperator(
            task_id="announce_dataset",
            project=values,
            dataset=publish_dataset.output,
            changed=publish_dataset.output["changed"],
            outlets=[ProjectAssets(project.name).curated_dataset],
        )
        DescribeDatasetOperator(task_id="describe_dataset", project=values, dataset=publish_dataset.output)

    ingest_images()


for project in load_valid_projects():
    make_dag(project)
