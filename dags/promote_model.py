"""
### Promote model

Decides whether the newest candidate is good enough to replace the champion, and registers it if it is.

**Runs** when `candidate_model` is updated, or by hand on the newest candidate. Candidate and champion are measured on
the same sealed test split; the criteria stand in the project file's `promotion` section. A rejected candidate ends the
run with `register_model` skipped and the reasons in its log. **Produces** `certified_model`.

**Safe to clear and re-run:** a model is registered once, under its key.

**Backfill:** there is none, this DAG follows an asset; and a backfill of days announces none.

Runbook: `docs/runbook.md#promote_model`
"""

from airflow.sdk import dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.evaluation import (
    DecidePromotionOperator,
    EvaluateCandidateOperator,
    EvaluateChampionOperator,
    SelectCandidateOperator,
)
from windhover.operators.registry import RegisterModelOperator


def make_dag(project: Project):
    assets = ProjectAssets(project.name)

    @dag(
        dag_id=f"{project.name}.promote_model",
        schedule=when_updated(assets.candidate_model),
        doc_md=__doc__,
        tags=[project.name, "model"],
        **dag_defaults(project, max_active_runs=1),
    )
    def promote_model():
        values = literal(project.model_dump(mode="json"))
        select_candidate = SelectCandidateOperator(
            task_id="select_candidate", project=values, inlets=[assets.candidate_model]
        )
        evaluate_candidate = EvaluateCandidateOperator(
            task_id="evaluate_candidate", project=values, candidate=select_candidate.output
        )
        evaluate_champion = EvaluateChampionOperator(
            task_id="evaluate_champion", project=values, candidate=select_candidate.output
        )
        decide_promotion = DecidePromotionOperator(
            task_id="decide_promotion",
            project=values,
            candidate=evaluate_candidate.output,
            champion=evaluate_champion.output,
        )
        RegisterModelOperator(
            task_id="register_model",
            project=values,
            decision=decide_promotion.output,
            outlets=[assets.certified_model],
        )

    promote_model()


for project in load_valid_projects():
    make_dag(project)
