"""The operator that forgets images for good."""

from typing import TYPE_CHECKING, Any

from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


class ForgetImagesOperator(StageOperator):
    """Erase an image, or all images of a subject, wherever they lie; return the receipt.

    The run's form names the `digest` or the `subject`, and the `reason`. It is read here and rendered into no field,
    so that the subject's key is neither in the task's fields nor in its result.
    """

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ErasureRequest
        from include.data.erasure import forget_images

        form, approver = context["params"], context["dag_run"].triggering_user_name
        request = ErasureRequest(
            digests=[form["digest"]] if form["digest"] else [],
            subject=form["subject"],
            reason=form["reason"],
            requested_by=approver or "unknown",
        )
        store, ledger, tracking = self.open_store(), self.open_ledger(), self.open_tracking()
        receipt = forget_images(self.read_project(), request, store, ledger, tracking, name_attempt(context))
        self.log.info(
            "%s; %d model(s) that learned from them are marked, %d release(s) have to be replaced; "
            "delete at the source: %s",
            receipt.summary, len(receipt.models), len(receipt.pending), ", ".join(receipt.sources) or "nothing",
        )  # fmt: skip
        return receipt.model_dump(mode="json")
