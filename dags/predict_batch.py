"""
### Predict batch

Lets the champion answer every image of one day.

**Runs** when `curated_dataset` is updated, for the updated day, with the champion of that moment; or by hand with the
form, on the newest dataset version. While nothing answers for the project yet, `select_release` is skipped and says
what to do. **Produces** `batch_predictions`: a folder in the store with the answers and what they were made of, and a
page, the *Predictions* button of `publish_predictions`. Nothing learns from it, and nothing is deployed by it.

**Safe to clear and re-run:** answers lie at an address made of dataset, day and release, appear there in one step, and
are found again.

**Backfill** days of the past, in any order: each is answered by the release that answered at the end of that day. Its
events start nothing that learns or deploys.

Runbook: `docs/runbook.md#predict_batch`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_day_updated
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.prediction import PublishPredictionsOperator, ScoreShardOperator, SelectReleaseOperator

FORM = {
    "day": Param(
        None, type=["null", "string"], format="date", title="Day",
        description="Images of which day are answered; empty: of the run's partition key, or of a source without days.",
    ),
    "version": Param(
        None, type=["null", "integer"], minimum=1, title="Model version",
        description="Ask this version, which must have been packaged; empty: the champion.",
    ),
    "champion_at": Param(
        None, type=["null", "string"], pattern=r"^(now|day|\d{4}-\d{2}-\d{2}.*)$", title="Champion at",
        description="`now`; `day`: the one that answered at the end of the day; or a moment in UTC, like "
        "2026-01-31T09:00. Empty: `day` in a backfill, else `now`.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.predict_batch",
        schedule=when_day_updated(assets.curated_dataset),
        doc_md=__doc__,
        tags=[project.name, "deployment"],
        params=FORM,
        **dag_defaults(project),
    )
    def predict_batch():
        values = literal(project.model_dump(mode="json"))
        select_release = SelectReleaseOperator(
            task_id="select_release", project=values, inlets=[assets.curated_dataset]
        )
        score = ScoreShardOperator.partial(
            task_id="score", project=values, map_index_template="shard {{ task.shard.index }}"
        ).expand(shard=select_release.output)
        PublishPredictionsOperator(
            task_id="publish_predictions",
            project=values,
            shards=score.output,
            outlets=[assets.batch_predictions],
        )

    predict_batch()


for project in load_valid_projects():
    make_dag(project)
