"""
### Release quarantine

Lets a day pass that failed `validate_images`, because a person answers for it.

**Runs** by hand only, with the form: which partition, and why. **Produces** an entry in the ledger with your name and
reason, and no images: those that are in quarantine stay there. Afterwards clear the failed run of `ingest_images`, or
trigger it with the day as its partition key; its accepted images are then published.

**Safe to clear and re-run:** the first release of the same content stays. A delivery that was changed meanwhile is held
against the limits again.

**Backfill:** there is none, this DAG has no schedule.

Runbook: `docs/runbook.md#release_quarantine`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.quarantine import ReleaseQuarantineOperator

FORM = {
    "partition": Param(
        type="string", pattern=r"^(\d{4}-\d{2}-\d{2}|snapshot)$", title="Partition",
        description="The day that failed, like 2026-01-31, or `snapshot` for a source without days.",
    ),
    "reason": Param(
        type="string", minLength=1, title="Reason",
        description="Why these images may be used as they are. It is kept, with your name.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.release_quarantine",
        schedule=None,
        doc_md=__doc__,
        tags=[project.name, "data"],
        params=FORM,
        **dag_defaults(project),
    )
    def release_quarantine():
        ReleaseQuarantineOperator(task_id="release_quarantine", project=literal(project.model_dump(mode="json")))

    release_quarantine()


for project in load_valid_projects():
    make_dag(project)
