"""
### Switch release

Lets a release that answered before answer again, at once: the way back, and the way forward again.

**Runs** by hand only, with the form: where to, and why. Every serving process holds the release already, or loads it
and replays its golden images before it follows; no request is dropped. A rollout under way ends. It works while
releases are frozen. **Produces** `serving_model`, and an entry on the audit chain with your name and reason.

**Safe to clear and re-run:** a release that answers already is left alone.

**Backfill:** there is none, this DAG has no schedule.

Runbook: `docs/runbook.md#switch_release`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.deployment import SwitchReleaseOperator

FORM = {
    "to": Param(
        "previous", type="string", pattern=r"^(previous|next|[1-9]\d{0,8})$", title="To",
        description="`previous`: the release before. `next`: the one that was left last. Or the number of a version "
        "that answered before.",
    ),
    "reason": Param(
        type="string", minLength=1, title="Reason",
        description="Why. It is kept, with your name.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.switch_release",
        schedule=None,
        doc_md=__doc__,
        tags=[project.name, "deployment"],
        params=FORM,
        **dag_defaults(project, max_active_runs=1),
    )
    def switch_release():
        SwitchReleaseOperator(
            task_id="switch_release",
            project=literal(project.model_dump(mode="json")),
            outlets=[assets.serving_model],
        )

    switch_release()


for project in load_valid_projects():
    make_dag(project)
