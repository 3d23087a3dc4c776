"""Put releases into service in one step, for tests of what comes after."""

from include.contracts import ReleaseRef, RolloutRef
from include.ledger import Ledger
from include.ledger.plans import find_plan
from include.ledger.rollouts import complete_rollout, start_rollout


def serve(ledger: Ledger, release: ReleaseRef, run: str = "run") -> RolloutRef:
    """Roll a recorded release out, and complete the rollout."""
    rollout = start_rollout(ledger, release, run, "direct", {})
    complete_rollout(ledger, rollout)
    return rollout


def find_champion(ledger: Ledger, project: str = "digits") -> ReleaseRef | None:
    """Return the release that answers for a project."""
    plan = find_plan(ledger, project)
    return plan and plan.champion
