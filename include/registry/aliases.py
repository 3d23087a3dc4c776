"""Move the names `champion` and `previous` over certified versions: in the ledger first, in MLflow second."""

from include.contracts import ModelVersionRef
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.models import find_alias, find_model_version, move_alias
from include.tracking import Tracking

CHAMPION = "champion"
PREVIOUS = "previous"
CANDIDATE = "candidate"


def find_champion(project: str, ledger: Ledger) -> ModelVersionRef | None:
    """Return the version that is champion now."""
    version = find_alias(ledger, project, CHAMPION)
    if version is None:
        return None
    champion = find_model_version(ledger, project, version=version)
    if champion is None:
        raise ArtifactNotFoundError(
            f"{project}: the champion is version {version}, which the ledger does not know; was the ledger restored "
            "from an older backup?"
        )
    return champion


def crown_champion(
    version: ModelVersionRef, ledger: Ledger, tracking: Tracking, reason: str, who: str | None = None
) -> None:
    """Make a version the champion; the old one becomes `previous`.

    Running it again repairs whatever a crash left behind.

    :param who: Run or person, for the audit chain.
    :raises StaleAttemptError: another version was crowned since this call looked.
    """
    project = version.model.project
    move_alias(
        ledger,
        project,
        CHAMPION,
        expected=find_alias(ledger, project, CHAMPION),
        version=version.version,
        reason=reason,
        who=who,
        # Together: one that moved first would be wrong for good once another attempt crowned in between.
        trail=PREVIOUS,
    )
    mirror_aliases(project, ledger, tracking)


def mirror_aliases(project: str, ledger: Ledger, tracking: Tracking) -> None:
    """Make MLflow's aliases what the ledger says."""
    while True:
        wanted = {alias: find_alias(ledger, project, alias) for alias in (CANDIDATE, CHAMPION, PREVIOUS)}
        with tracking.connect() as client:
            for alias, version in wanted.items():
                if version is not None:
                    client.set_registered_model_alias(project, alias, str(version))
        # MLflow overwrites unconditionally: had the ledger moved meanwhile, ours might have landed last.
        if wanted == {alias: find_alias(ledger, project, alias) for alias in wanted}:
            return
