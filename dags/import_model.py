"""
### Import model

Makes a candidate of a model that was trained elsewhere. It passes the same gates as any other.

**Runs** by hand only, with the form: the name of an ONNX or safetensors file in the folder `models` of the project's
drop folder, with its sheet, a YAML file of the same name, beside it. Pickles (`.pt`, `.pth`, `.pkl`, `.ckpt`, `.bin`)
are refused unread. **Produces** `candidate_model`; `promote_model` follows.

**Safe to clear and re-run:** a candidate is keyed by file, sheet and dataset; the same key finds the same candidate.

**Backfill:** there is none, this DAG has no schedule.

Runbook: `docs/runbook.md#import_model`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.importing import ImportModelOperator
from windhover.operators.training import SelectDatasetOperator

FORM = {
    "file": Param(
        type="string", pattern=r"^[^/\\]+$", title="Model file",
        description="Its name in the folder `models` of the project's drop folder, like resnet.onnx.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.import_model",
        schedule=None,
        doc_md=__doc__,
        tags=[project.name, "model"],
        params=FORM,
        **dag_defaults(project, max_active_runs=1),
    )
    def import_model():
        values = literal(project.model_dump(mode="json"))
        select_dataset = SelectDatasetOperator(task_id="select_dataset", project=values, as_of=None)
        ImportModelOperator(
            task_id="import_model",
            project=values,
            dataset=select_dataset.output,
            outlets=[assets.candidate_model],
        )

    import_model()


for project in load_valid_projects():
    make_dag(project)
