"""The gate between a validated partition and the dataset. Apart from validation, whose imports take seconds."""

from include.contracts import ValidationReport
from include.errors import DataQualityError
from include.project import Project


def require_quality(project: Project, report: ValidationReport) -> None:
    """Pass a partition that meets every expectation and stays within the project's share of quarantined files.

    :raises DataQualityError: it does not; says which expectation, which files, and where to read more.
    """
    troubles = [
        f"{one.expectation}({one.column or 'table'}) failed for {one.unexpected or 'the'} row(s) {list(one.rows[:5])}"
        for one in report.expectations
        if not one.success
    ]
    share = report.quarantined / report.seen if report.seen else 0.0
    if share > project.data.max_quarantined:
        troubles.append(
            f"{report.quarantined} of {report.seen} files are in quarantine ({report.reasons}), "
            f"more than the {project.data.max_quarantined:.0%} of data.max_quarantined"
        )
    if troubles or not report.success:
        raise DataQualityError(
            f"{report.project} {report.partition}: {'; '.join(troubles) or 'validation failed'}. "
            f"Details: {report.data_docs}; correct the delivery and run the partition again"
        )
