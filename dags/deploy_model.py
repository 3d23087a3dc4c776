"""
### Deploy model

Puts the newest certified model into service without dropping a request, and takes it back if it does harm.

**Runs** when `certified_model` is updated, or by hand on the newest certified version; the form may name a strategy.
The exported graph must answer like the trained model, and every serving process replays golden images before the
release takes traffic. `judge_rollout` looks every second at errors, latency, agreement and, where labels come back,
accuracy. Harm, or too little evidence by the deadline, gives all requests back at once and fails `judge_rollout` with
the reasons; `roll_back` closes the rollout and writes into the release's notes what happened. To abort it, mark
`judge_rollout` as failed. **Produces** `serving_model`, and release notes.

**Safe to clear and re-run:** a release is named by its content, and a rollout goes on where it was.

**Backfill:** there is none, this DAG follows an asset; and a backfill of days announces none.

Runbook: `docs/runbook.md#deploy_model`
"""

from airflow.sdk import Param, TriggerRule, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.deployment import (
    ChooseStrategyOperator,
    CompleteRolloutOperator,
    PackageModelOperator,
    RollBackOperator,
    RollOutOperator,
    WriteReleaseNotesOperator,
)
from windhover.sensors.deployment import RolloutSensor

FORM = {
    "strategy": Param(
        "recommended", type="string", enum=["recommended", "direct", "blue_green", "canary", "shadow", "ab_test"],
        title="Strategy",
        description="How the release goes into service. Recommended: as the project file says, or by risk, traffic and "
        "label delay.",
    ),
}  # fmt: skip


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.deploy_model",
        schedule=when_updated(assets.certified_model),
        doc_md=__doc__,
        tags=[project.name, "deployment"],
        params=FORM,
        **dag_defaults(project, max_active_runs=1),
    )
    def deploy_model():
        values = literal(project.model_dump(mode="json"))
        package_model = PackageModelOperator(task_id="package_model", project=values, inlets=[assets.certified_model])
        choose_strategy = ChooseStrategyOperator(
            task_id="choose_strategy", project=values, release=package_model.output
        )
        roll_out = RollOutOperator(
            task_id="roll_out", project=values, release=package_model.output, decision=choose_strategy.output
        )
        judge_rollout = RolloutSensor(task_id="judge_rollout", project=values, rollout=roll_out.output, poke_interval=1)
        complete_rollout = CompleteRolloutOperator(
            task_id="complete_rollout", project=values, verdict=judge_rollout.output, outlets=[assets.serving_model]
        )
        write_release_notes = WriteReleaseNotesOperator(
            task_id="write_release_notes", project=values, rollout=roll_out.output
        )
        roll_back = RollBackOperator(
            task_id="roll_back", project=values, rollout=roll_out.output, trigger_rule=TriggerRule.ONE_FAILED
        )
        complete_rollout >> write_release_notes
        judge_rollout >> roll_back

    deploy_model()


for project in load_valid_projects():
    make_dag(project)
