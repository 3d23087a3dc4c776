"""Hand incidents that nobody takes on to the next of the project's path."""

from datetime import datetime, timedelta

from include.ledger import Ledger
from include.ledger.incidents import escalate_incident, list_incidents
from include.project import EscalationPolicy

WHO = "escalation"
MOST = 1000


def escalate_overdue(project: str, policy: EscalationPolicy, ledger: Ledger, now: datetime) -> list[int]:
    """Hand every overdue incident one step on; return their numbers. Any number of watchers may do so at once.

    Step n of the path is due n times the minutes of the severity after the opening, so that a watcher that was away
    goes the missed steps, one at each look.
    """
    handed = []
    for incident in list_incidents(ledger, project, MOST, unresolved=True):
        minutes, step = policy.minutes.get(incident.severity), incident.escalation
        if incident.state != "open" or minutes is None or step >= len(policy.path):
            continue
        if now < incident.opened_at + timedelta(minutes=minutes) * (step + 1):
            continue
        why = f"nobody has acknowledged it within {minutes * (step + 1):g} minutes"
        if escalate_incident(ledger, incident.id, step, to=policy.path[step], why=why, who=WHO):
            handed.append(incident.id)
    return handed
