"""
### Train model

Trains one candidate on the newest dataset version, or on what was known at a moment of the past.

**Runs** when `curated_dataset` or `retraining_request` is updated, or by hand with the form; the run's note says why.
New images without new labels teach nothing: such a run is skipped at `select_dataset`. **Produces** `candidate_model`.

It trains on all there is, from the champion's weights (`warm_start`), on the newest days (`sliding_window`), or on
these with a sample of the older ones (`replay`), as the form, the request or the project file says. `settle_training`
frees the way for the next request, also after a failure.

Where the project's `tuning` asks for it, `run_trials` searches for the best settings first, and `cross_validate`
measures them fold by fold; else the two are skipped.

`inspect_shortcuts` warns in its log where labels can be told without looking at what the images show. It stops nothing.

**Safe to clear and re-run:** a candidate is keyed by its dataset, code, settings and seed; the same key finds the same
candidate instead of training again. A search goes on where it was: each setting within its budget is tried once.

**Backfill:** there is none, this DAG follows assets. To train on the past, name the moment in the form's `as_of`.

Runbook: `docs/runbook.md#train_model`
"""

from typing import get_args

from airflow.sdk import Param, TriggerRule, dag, literal

from include.contracts import TrainingMode
from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import TRAINING_POOL, dag_defaults, load_valid_projects
from windhover.operators.training import (
    CrossValidateOperator,
    InspectShortcutsOperator,
    RunTrialsOperator,
    SelectDatasetOperator,
    SettleTrainingOperator,
    TrainModelOperator,
)

# Nothing to tune skips tasks on the way; nothing to learn skips them all.
UNLESS_FAILED = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
SETTINGS = (
    "{{ dict(params.items() | rejectattr('0', 'in', ['as_of', 'mode']),"
    " mode=ti.xcom_pull(task_ids='select_dataset', key='mode', map_indexes=-1)) }}"
)
TRAINED = "{{ ti.xcom_pull(task_ids='train_candidate', map_indexes=-1) }}"


def make_form(project: Project):
    """Offer what people choose by hand; an empty field keeps the project file's value."""
    training = project.training
    return {
        "as_of": Param(
            None, type=["null", "string"], format="date-time", title="As of",
            description="Train on what was known at this moment, in UTC; empty: on all there is.",
        ),
        "mode": Param(
            None, type=["null", "string"], enum=[None, *get_args(TrainingMode)], title="Mode",
            description=f"What it begins from, which days it learns from. Project file: {training.mode}.",
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


def choose_settings(project: Project, learning):
    """Search for settings and measure them; mapped over nothing, what is switched off costs no process."""
    run_trials = RunTrialsOperator.partial(
        task_id="run_trials", map_index_template="worker {{ task.worker }}", **learning
    ).expand(worker=list(range(min(project.tuning.parallel, project.tuning.budget))))
    cross_validate = CrossValidateOperator.partial(
        task_id="cross_validate",
        map_index_template="fold {{ task.fold }}",
        trigger_rule=UNLESS_FAILED,
        **learning,
    ).expand(fold=list(range(project.tuning.measured_folds)))
    return run_trials, cross_validate


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
        form = {"as_of": "{{ params.as_of }}", "mode": "{{ params.mode }}"}
        select_dataset = SelectDatasetOperator(
            task_id="select_dataset", project=values, inlets=[assets.retraining_request], **form
        )
        InspectShortcutsOperator(task_id="inspect_shortcuts", project=values, dataset=select_dataset.output)
        learning = {
            "project": values, "dataset": select_dataset.output, "overrides": SETTINGS, "pool": TRAINING_POOL
        }  # fmt: skip
        run_trials, cross_validate = choose_settings(project, learning)
        train_candidate = TrainModelOperator(
            task_id="train_candidate",
            folds=cross_validate.output,
            trigger_rule=UNLESS_FAILED,
            outlets=[assets.candidate_model],
            **learning,
        )
        # A teardown runs whatever happened, and the run still fails where the training did.
        # Until it is done, no other training is asked for: it waits for a ledger that is away, for hours.
        settle_training = SettleTrainingOperator(task_id="settle_training", project=values, model=TRAINED, retries=30)
        run_trials >> [cross_validate, train_candidate]
        train_candidate >> settle_training.as_teardown()

    train_model()


for project in load_valid_projects():
    make_dag(project)
