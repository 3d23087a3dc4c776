"""
### Promote model

Decides whether the newest candidate is good enough to replace the champion, and registers it if it is.

**Runs** when `candidate_model` is updated, or by hand on the newest candidate. Candidate and champion are measured on
the same sealed test split; the criteria stand in the project file's `promotion` section. A rejected candidate ends the
run with `register_model` skipped and the reasons in its log. **Produces** `certified_model`.

`explain_candidate` shows where the candidate looks, and what is left of it without border, corners and colour.

Where the project's `governance.approval` asks for it, `approve_promotion` waits for a person: answer it under *Required
Actions*. Whoever started the training cannot approve it; a rejection, or no answer in time, registers nothing.

**Safe to clear and re-run:** a model is registered once, under its key.

**Backfill:** there is none, this DAG follows an asset; and a backfill of days announces none.

Runbook: `docs/runbook.md#promote_model`
"""

from airflow.sdk import dag, literal

from include.project import Project
from windhover.assets import ProjectAssets, when_updated
from windhover.defaults import dag_defaults, load_valid_projects
from windhover.operators.approval import ApprovePromotionOperator
from windhover.operators.evaluation import (
    DecidePromotionOperator,
    EvaluateCandidateOperator,
    EvaluateChampionOperator,
    ExplainCandidateOperator,
    SelectCandidateOperator,
)
from windhover.operators.registry import RegisterModelOperator


def make_dag(project: Project):
    assets = ProjectAssets(project.name)
    asked = project.governance.approval != "auto"

    @dag(
        dag_id=f"{project.name}.promote_model",
        schedule=when_updated(assets.candidate_model),
        doc_md=__doc__,
        tags=[project.name, "model"],
        **dag_defaults(project, max_active_runs=1, people_hours=project.governance.approval_hours if asked else 0),
    )
    def promote_model():
        values = literal(project.model_dump(mode="json"))
        select_candidate = SelectCandidateOperator(
            task_id="select_candidate", project=values, inlets=[assets.candidate_model]
        )
        measured = {"project": values, "candidate": select_candidate.output}
        evaluate_candidate = EvaluateCandidateOperator(task_id="evaluate_candidate", **measured)
        evaluate_champion = EvaluateChampionOperator(task_id="evaluate_champion", **measured)
        ExplainCandidateOperator(task_id="explain_candidate", **measured)
        decide_promotion = DecidePromotionOperator(
            task_id="decide_promotion",
            project=values,
            candidate=evaluate_candidate.output,
            champion=evaluate_champion.output,
        )
        judged = {"project": values, "decision": decide_promotion.output}
        approve_promotion = ApprovePromotionOperator(
            task_id="approve_promotion", hours=project.governance.approval_hours, **judged
        )
        RegisterModelOperator(
            task_id="register_model",
            approval=approve_promotion.output,
            **judged,
            outlets=[assets.certified_model],
        )

    promote_model()


for project in load_valid_projects():
    make_dag(project)
