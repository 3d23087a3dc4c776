"""
### Forget images

Erases an image, or every image of a subject, for good: rows, old versions, staged and quarantined files, reports.

**Runs** by hand only, with the form: an image digest or a subject key, and the reason. What was erased is refused from
then on, also in a delivery that comes again. **Produces** a receipt: what is gone, which models learned from it (they
are marked, not removed), which releases have to be replaced, and which files to delete at the source. It never holds
the subject key. Airflow keeps the form of a run: delete the run once you have read the receipt.

**Safe to clear and re-run:** killed at any point, it is completed by running it again; what is gone already is answered
with its receipt.

**Backfill:** there is none, this DAG has no schedule.

Runbook: `docs/runbook.md#forget_images`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.erasure import ForgetImagesOperator

FORM = {
    "digest": Param(
        None, type=["null", "string"], pattern="^sha256:[0-9a-f]{64}$", title="Image digest",
        description="One image, as the lineage names it: sha256: and 64 digits. Empty: use the subject.",
    ),
    "subject": Param(
        None, type=["null", "string"], minLength=1, title="Subject key",
        description="Everything that shows this subject: its key in the manifest's column `subject`.",
    ),
    "reason": Param(
        type="string", minLength=1, title="Reason",
        description="Why they have to go, such as the number of the request. It is kept, with your name.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.forget_images",
        schedule=None,
        doc_md=__doc__,
        tags=[project.name, "data"],
        params=FORM,
        **dag_defaults(project, max_active_runs=1),
    )
    def forget_images():
        ForgetImagesOperator(task_id="forget_images", project=literal(project.model_dump(mode="json")))

    forget_images()


for project in load_valid_projects():
    make_dag(project)
