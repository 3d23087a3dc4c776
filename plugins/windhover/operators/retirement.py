"""The operator that takes one version out of the registry for good."""

from typing import TYPE_CHECKING, Any

from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class RetireModelOperator(StageOperator):
    """Archive the version of the run's form and remove the originals; return its tombstone.

    It bears the name of who filled the form in, and the reason.
    """

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.registry.retirement import retire_model

        form, who = context["params"], context["dag_run"].triggering_user_name
        places = self.read_project(), self.open_store(), self.open_ledger(), self.open_tracking()
        tombstone = retire_model(
            form["version"], *places, name_attempt(context), who=who or "unknown", why=form["reason"]
        )
        return tombstone.model_dump(mode="json")
