"""
### Train model

Trains one candidate on the newest dataset version, or on what was known at a moment of the past.

**Runs** when `curated_dataset` or `retraining_request` is updated, or by hand with the form. New images without new
labels teach nothing: such a run is skipped at `select_dataset`. **Produces** `candidate_model`.

**Safe to clear and re-run:** a candidate is keyed by its dataset, code, settings and seed; the same key finds the same
candidate instead of training again.

**Backfill:** there is none, this DAG follows assets. To train on the past, name the moment in the form's `as_of`.

Runbook: `docs/runbook.md#train_model`
"""

from airflow.sdk import Param, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import TRAINING_POOL, dag_defaults, load_valid_projects
from windhover.operators.training import SelectDatasetOperator, TrainModelOperator

SETTINGS = "{{ dict(params.items() | rejectattr('0', 'equalto', 'as_of')) }}"


def make_form(project: Project):
    """Offer what people choose by hand; an empty field keeps the project file's value."""
    training = project.training
    return {
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of",
            description="Train on what was known at this moment, in UTC; empty: on all there is.",
        ),
        "epochs": Param(
            None, type=["null", "integer"], minimum=1, maximum=1000, title="Epochs",
            description=f"Passes over the training images. Project file: {training.epochs}.",
        ),
        "learning_rate": Param(
            None, type=["null", "number"], exclusiveMinimum=0, maximum=1, title="Learning rate",
            description=f"Peak step size of the optimiser. Project file: {training.learning_rate}.",
        ),
        "seed": Param(
            None, type=["null", "integer"], minimum=0, title="Seed",
            description=f"Another seed trains another candidate on the same data. Project file: {training.seed}.",
        ),
    }  # fmt: skip


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.train_model",
        schedule=when_updated(assets.curated_dataset, assets.retraining_request),
        doc_md=__doc__,
        tags=[project.name, "model"],
        params=make_form(project),
        **dag_defaults(project, max_active_runs=1),
    )
    def train_model():
        values = literal(project.model_dump(mode="json"))
        select_dataset = SelectDatasetOperator(
            task_id="select_dataset", project=values, as_of="{{ params.as_of }}", inlets=[assets.retraining_request]
        )
        TrainModelOperator(
            task_id="train_candidate",
            project=values,
            dataset=select_dataset.output,
            overrides=SETTINGS,
            pool=TRAINING_POOL,
            outlets=[assets.candidate_model],
        )

    train_model()


for project in load_valid_projects():
    make_dag(project)
