"""
### Deploy model

Puts the newest certified model into service without dropping a request.

**Runs** when `certified_model` is updated, or by hand on the newest certified version. The exported graph must answer
like the trained model, and the serving process replays golden images before the release takes traffic. A release that
does not come up healthy fails `judge_rollout`, and `roll_back` returns to the one that served before. **Produces**
`serving_model`.

**Safe to clear and re-run:** a release is named by its content.

**Backfill:** there is none, this DAG follows an asset; and a backfill of days announces none.

Runbook: `docs/runbook.md#deploy_model`
"""

from airflow.sdk import TriggerRule, dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.deployment import (
    CompleteRolloutOperator,
    PackageModelOperator,
    RollBackOperator,
    RollOutOperator,
)
from windhover.sensors.deployment import RolloutSensor


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.deploy_model",
        schedule=when_updated(assets.certified_model),
        doc_md=__doc__,
        tags=[project.name, "deployment"],
        **dag_defaults(project, max_active_runs=1),
    )
    def deploy_model():
        values = literal(project.model_dump(mode="json"))
        package_model = PackageModelOperator(task_id="package_model", project=values, inlets=[assets.certified_model])
        roll_out = RollOutOperator(task_id="roll_out", project=values, release=package_model.output)
        judge_rollout = RolloutSensor(
            task_id="judge_rollout", project=values, rollout=roll_out.output, poke_interval=0.5
        )
        CompleteRolloutOperator(
            task_id="complete_rollout", project=values, verdict=judge_rollout.output, outlets=[assets.serving_model]
        )
        roll_back = RollBackOperator(
            task_id="roll_back", project=values, rollout=roll_out.output, trigger_rule=TriggerRule.ONE_FAILED
        )
        judge_rollout >> roll_back

    deploy_model()


for project in load_valid_projects():
    make_dag(project)
