"""
### Retire model

Takes one certified version out of the registry for good, whatever its age; `maintain_platform` retires old ones alone.

**Runs** by hand only, with the form: which version, and why. It is sealed into a bundle that can be asked again, a
tombstone with your name and reason takes its place, and the originals are removed. A version that is champion, or
answers, or is held is refused. **Produces** no asset: nothing downstream runs.

**Safe to clear and re-run:** what a killed attempt began is completed; a version that is retired already is left alone.

**Backfill:** there is none, this DAG has no schedule.

Runbook: `docs/runbook.md#retire_model`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.retirement import RetireModelOperator

FORM = {
    "version": Param(type="integer", minimum=1, title="Version", description="Number of the certified version."),
    "reason": Param(
        type="string",
        minLength=1,
        title="Reason",
        description="Why nothing needs it any more. It is kept, with your name.",
    ),
}


def make_dag(project: Project):
    @dag(
        dag_id=f"{project.name}.retire_model",
        schedule=None,
        doc_md=__doc__,
        tags=[project.name, "maintenance"],
        params=FORM,
        **dag_defaults(project, max_active_runs=1),
    )
    def retire_model():
        RetireModelOperator(task_id="retire_model", project=literal(project.model_dump(mode="json")))

    retire_model()


for project in load_valid_projects():
    make_dag(project)
