"""The gate between a validated partition and the dataset. Apart from validation, whose imports take seconds."""

from include.contracts import ExpectationReport, ValidationReport
from include.errors import DataQualityError
from include.ledger import Ledger
from include.ledger.quality import find_release
from include.project import Project

NAMED = 5


def require_quality(project: Project, report: ValidationReport, ledger: Ledger) -> None:
    """Pass a partition that meets what must not fail and stays within the project's share of quarantined files.

    Content that an approver released passes whatever was found in it.

    :raises DataQualityError: it does neither; says which expectation, which files, where to read more, how to go on.
    """
    troubles = find_troubles(project, report)
    if troubles and find_release(ledger, report) is None:
        raise DataQualityError(
            f"{report.project} {report.partition}: {'; '.join(troubles)}. Details: {report.data_docs}. Correct the "
            f"delivery and run the partition again, or have an approver release this content with the DAG "
            f"{report.project}.release_quarantine"
        )


def find_troubles(project: Project, report: ValidationReport) -> list[str]:
    """List what keeps a partition out of the dataset, in words; nothing where it may be published."""
    troubles = [_describe(one) for one in report.expectations if not one.success and one.on_failure == "stop"]
    share = report.quarantined / report.seen if report.seen else 0.0
    if share > project.data.max_quarantined:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.reasons.items())
        troubles.append(
            f"{report.quarantined} of {report.seen} files are in quarantine ({reasons}), "
            f"more than the {project.data.max_quarantined:.0%} of data.max_quarantined"
        )
    return troubles if troubles or report.success else ["validation failed"]


def _describe(one: ExpectationReport) -> str:
    name = f"{one.expectation}({one.column or 'table'})"
    words = f'"{one.description}" ({name})' if one.description else name
    files = f", in {', '.join(one.rows[:NAMED])}" if one.rows else ""
    more = " ..." if one.unexpected > NAMED and one.rows else ""
    return f"{words} is not met: {one.observed or 'failed'}{files}{more}"
