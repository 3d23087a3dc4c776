"""The operator that lets an approver overrule the gate of one partition."""

from typing import TYPE_CHECKING, Any

from windhover.links import DATA_DOCS, PAGES, QUARANTINE, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReleaseQuarantineOperator(StageOperator):
    """Let a partition pass that failed its last validation, exactly as it was validated.

    The run's form names the `partition` and the `reason`. Fields of a template would make numbers of texts.
    """

    operator_extra_links = (DATA_DOCS, QUARANTINE)

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.data.quarantine import release_quarantine
        from include.ledger.audit import seal_chain

        ledger, project, form = self.open_ledger(), self.read_project(), context["params"]
        approver = context["dag_run"].triggering_user_name or "unknown"
        report = release_quarantine(project, form["partition"], ledger, released_by=approver, reason=form["reason"])
        seal_chain(ledger, project.name, self.open_store())
        self.evidence["Data Docs"] = page_of(report.data_docs)
        self.evidence["Quarantine"] = f"{PAGES}/quarantine/{project.name}/{report.partition}"
        self.log.info(
            "%s released %s: %d images pass, %d files stay in quarantine. Next: clear the failed run of "
            "%s.ingest_images, or trigger it again with this partition",
            approver, report.partition, report.accepted, report.quarantined, project.name,
        )  # fmt: skip
        return report.model_dump(mode="json")
