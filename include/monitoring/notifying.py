"""Tell people of incidents: once each, over every channel that is theirs, and not while they want silence."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from include.contracts import IncidentReport
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.changes import PLATFORM
from include.ledger.incidents import find_incident, list_incidents
from include.ledger.notifications import (
    Notification,
    deliver_once,
    find_heard,
    find_last_told,
    list_due,
    postpone,
    queue_notification,
    settle,
)
from include.ledger.severity import SEVERITIES
from include.monitoring.channels import Channel
from include.project import NotifyPolicy

MOST_INCIDENTS = 200
# What ended longer ago is told to nobody.
RECENT = timedelta(days=1)
SOONEST, LATEST, GIVEN_UP = timedelta(seconds=15), timedelta(hours=1), timedelta(days=1)
TOLD = "told"
# Where the plugin mounts its pages, below Airflow's address.
PAGES = "/windhover"

logger = logging.getLogger(__name__)


class Told:
    """The keys that this process has put into the outbox, so that it need not ask for each of them at every look."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def is_new(self, key: str) -> bool:
        """Tell whether a key comes for the first time."""
        known = key in self._keys
        self._keys.add(key)
        return not known

    def forget(self, key: str) -> None:
        """Let a key come again."""
        self._keys.discard(key)


def queue_incidents(
    ledger: Ledger, policies: Mapping[str, NotifyPolicy], told: Told, now: datetime, airflow: str = ""
) -> None:
    """Put what has happened to incidents into the outbox: opened, grown worse, handed on, resolved.

    :param policies: By project; what concerns none of them follows the defaults.
    :param now: Moment with time zone.
    :param airflow: Airflow's address for people, so that they find the runbook; nothing where it is not known.
    """
    for incident in list_incidents(ledger, None, MOST_INCIDENTS, unresolved=True):
        policy = policies.get(incident.project, NotifyPolicy())
        if SEVERITIES.index(incident.severity) <= SEVERITIES.index(policy.least):
            steps = [incident.severity] + ([f"step {incident.escalation}"] if incident.escalation else [])
            for step in steps:
                _queue(ledger, incident, step, policy, told, now, airflow)
    for incident in list_incidents(ledger, None, MOST_INCIDENTS):
        if incident.resolved_at and now - incident.resolved_at < RECENT and _was_told(ledger, incident, told):
            _queue(ledger, incident, "resolved", policies.get(incident.project, NotifyPolicy()), told, now, airflow)


def deliver_due(
    ledger: Ledger, channels: Callable[[], list[Channel]], policies: Mapping[str, NotifyPolicy], now: datetime
) -> int:
    """Send what is due, try again later what no channel took, and return how many were told in full.

    :param channels: Opens them; called once something is due.
    """
    due = list_due(ledger, now)
    opened = channels() if due else []
    silent: set[str] = set()
    return sum(_deliver(ledger, one, opened, policies.get(one.project, NotifyPolicy()), now, silent) for one in due)


def say_where(project: str, runbook: str, airflow: str) -> str:
    """Write where the runbook and the project's page are: what can be opened on a phone, where that is known."""
    if not airflow:
        return f"runbook: {runbook}"
    page = "overview" if project == PLATFORM else f"overview/{project}"
    return f"runbook: {airflow}{PAGES}/{runbook}\npage: {airflow}{PAGES}/{page}"


def _queue(
    ledger: Ledger,
    incident: IncidentReport,
    step: str,
    policy: NotifyPolicy,
    told: Told,
    now: datetime,
    airflow: str,
) -> None:
    key = _name(incident.id, step)
    if not told.is_new(key):
        return
    try:
        due = _find_due(ledger, incident, policy, now, again=step in SEVERITIES)
        title, body = _write(incident, step, key, airflow)
        queue_notification(
            ledger,
            key=key,
            project=incident.project,
            subject=incident.key,
            severity=incident.severity,
            title=title,
            body=body,
            due_at=due,
        )
    except Exception:
        told.forget(key)
        raise


def _find_due(
    ledger: Ledger, incident: IncidentReport, policy: NotifyPolicy, now: datetime, *, again: bool
) -> datetime:
    """Return when to tell: not within a silence, and not soon after the same trouble was told."""
    severity = SEVERITIES.index(incident.severity)
    silences = [one for one in policy.silences if severity > SEVERITIES.index(one.spare)]
    due = max([now, *(end for one in silences if (end := one.find_end(now)))])
    last = find_last_told(ledger, incident.project, incident.key) if again else None
    # What has grown worse is news.
    if last is None or last > incident.opened_at:
        return due
    return max(due, last + timedelta(minutes=policy.quiet_minutes))


def _was_told(ledger: Ledger, incident: IncidentReport, told: Told) -> bool:
    if not told.is_new(f"{_name(incident.id, 'resolved')}?"):
        return False
    try:
        return bool(_find_heard(ledger, incident))
    except Exception:
        told.forget(f"{_name(incident.id, 'resolved')}?")
        raise


def _find_heard(ledger: Ledger, incident: IncidentReport) -> set[str]:
    """Return the channels that heard of an incident while it lasted; another one that fails must not hide them."""
    steps = [*SEVERITIES, *(f"step {number}" for number in range(1, incident.escalation + 1))]
    return find_heard(ledger, [_name(incident.id, step) for step in steps])


def _find_incident(ledger: Ledger, one: Notification) -> IncidentReport | None:
    kind, _, rest = one.key.partition("/")
    try:
        return find_incident(ledger, int(rest.partition("/")[0])) if kind == "incident" else None
    except ArtifactNotFoundError:
        return None


def _deliver(
    ledger: Ledger,
    one: Notification,
    channels: list[Channel],
    policy: NotifyPolicy,
    now: datetime,
    silent: set[str],
) -> bool:
    incident = _find_incident(ledger, one)
    if incident and incident.resolved_at and not one.key.endswith("/resolved"):
        settle(ledger, one.id, "it had ended before all were told")
        return False
    done = []
    for channel in _choose(ledger, one, incident, channels, policy):
        # One that takes nothing may cost its time once a look, not once a notice.
        send = partial(_send, channel, one)
        done.append(channel.name not in silent and deliver_once(ledger, one.id, channel.name, send))
        if not done[-1]:
            silent.add(channel.name)
    age = now - one.recorded_at
    if all(done):
        settle(ledger, one.id, TOLD if done else "no channel is for it")
    elif age > GIVEN_UP:
        logger.error("gave up telling %s: %d of %d channels took it", one.title, sum(done), len(done))
        settle(ledger, one.id, f"given up: {sum(done)} of {len(done)} channels took it")
    else:
        postpone(ledger, one.id, now + min(max(age, SOONEST), LATEST))
    return bool(done) and all(done)


def _choose(
    ledger: Ledger, one: Notification, incident: IncidentReport | None, channels: list[Channel], policy: NotifyPolicy
) -> list[Channel]:
    """Return the channels that a notice is for; an end is for those that heard of the beginning."""
    heard = _find_heard(ledger, incident) if incident and one.key.endswith("/resolved") else set()
    concerned = {*policy.tags, *([incident.owner] if incident else [])}
    # A channel whose password was changed meanwhile goes by another name.
    return [channel for channel in channels if channel.name in heard] or [
        channel for channel in channels if not channel.tags or channel.tags & concerned
    ]


def _send(channel: Channel, one: Notification) -> bool:
    try:
        return channel.send(one.title, one.body, one.severity)
    except Exception:
        # A channel is somebody else's code and somebody else's network.
        logger.exception("channel %s failed", channel.name)
        return False


def _name(incident: int, step: str) -> str:
    return f"incident/{incident}/{step}"


def _write(incident: IncidentReport, step: str, key: str, airflow: str) -> tuple[str, str]:
    state = "resolved" if step == "resolved" else incident.severity
    handed = f", {step} of its path" if step.startswith("step") else ""
    said = incident.evidence.get("summary") or incident.evidence.get("said") or ""
    lines = [
        incident.title,
        str(said),
        f"severity: {incident.severity} (impact {incident.impact}, urgency {incident.urgency})",
        f"owner: {incident.owner or 'nobody yet'}{handed}",
        f"since: {incident.opened_at:%Y-%m-%d %H:%M} UTC",
        f"resolved: {incident.resolved_at:%Y-%m-%d %H:%M} UTC by {incident.resolved_by}"
        if incident.resolved_at
        else "",
        say_where(incident.project, incident.runbook, airflow),
        f"reference: {key}",
    ]
    return f"[{state}] {incident.project}: {incident.title}", "\n".join(line for line in lines if line)
