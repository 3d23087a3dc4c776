"""Overrule the gate of a partition: a person answers for letting it pass as it is."""

from include.contracts import ValidationReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger import Ledger
from include.ledger.quality import list_validations, record_release
from include.project import Project


def release_quarantine(
    project: Project, partition: str, ledger: Ledger, *, released_by: str, reason: str
) -> ValidationReport:
    """Let the content of a partition that failed its last validation pass from now on; return that validation.

    What is in quarantine stays there. Other content of the same partition is held against the gate again.

    :param released_by: Who answers for it.
    :raises ArtifactNotFoundError: the partition's last validation did not fail, or there was none.
    :raises ContractViolationError: no reason was given.
    """
    if not reason.strip():
        raise ContractViolationError("say why the quarantine is released; nothing was released")
    failed = {report.partition: report for report in list_validations(ledger, project.name, passed=False)}
    if partition not in failed:
        raise ArtifactNotFoundError(
            f"no failed validation of {project.name} {partition}, nothing was released; "
            f"failed are: {', '.join(sorted(failed)) or 'none'}"
        )
    record_release(ledger, project.name, partition, failed[partition].address, released_by, reason)
    return failed[partition]
