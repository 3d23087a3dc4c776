"""The pages of the audit chain: whether it holds, what stands in it, and who was champion when."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import ContractViolationError
from windhover.ui.templates import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts import AuditReport
    from include.errors import ProjectFileError
    from include.ledger import Ledger
    from include.project import Project
    from include.storage import Store

SHOWN = 100


@dataclass(frozen=True)
class CheckedChain:
    """One project's chain, after every link of it was checked.

    :ivar report: None where the chain is broken.
    :ivar fault: Where it is broken, and how.
    """

    project: "Project"
    report: "AuditReport | None"
    fault: str


def render_audits(
    projects: "Sequence[Project]", problems: "Sequence[ProjectFileError]", store: "Store", ledger: "Ledger"
) -> str:
    """Render whether the audit chain of every project holds as HTML.

    :param problems: What is wrong with the project files that are not valid.
    """
    chains = [_check(project, store, ledger, datetime.now(UTC)) for project in projects]
    return render("audits.html", chains=chains, problems=problems)


def render_audit(
    project: "Project", store: "Store", ledger: "Ledger", *, at: datetime | None = None, before: int | None = None
) -> str:
    """Render a project's audit chain, and which version was champion at a moment, as HTML.

    :param at: Moment with time zone; now unless given.
    :param before: Only entries older than this one.
    """
    from include.ledger.chronicle import list_entries

    moment = (at or datetime.now(UTC)).astimezone(UTC)
    # One more than is shown tells whether there are older ones.
    entries = list_entries(ledger, project.name, SHOWN + 1, before)
    return render(
        "audit.html",
        chain=_check(project, store, ledger, moment),
        asked=at is not None,
        at=moment,
        utc=UTC,
        entries=entries[:SHOWN],
        older=entries[SHOWN - 1].sequence if len(entries) > SHOWN else None,
        newest=before is None,
    )


def _check(project: "Project", store: "Store", ledger: "Ledger", at: datetime) -> CheckedChain:
    from include.ledger.audit import describe_chain

    try:
        return CheckedChain(project, describe_chain(ledger, project.name, store, at, recent=1), "")
    except ContractViolationError as error:
        return CheckedChain(project, None, str(error))
