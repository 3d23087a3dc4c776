"""Drafts of post-mortems: what is known of an incident, laid out for people to complete.

Sections after Beyer et al., Site Reliability Engineering (2016), appendix D.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.contracts import IncidentReport
from include.ledger import Ledger
from include.ledger.impact import measure_impact
from include.ledger.incidents import find_incident, list_incidents
from include.ledger.response_times import measure_response
from include.monitoring.timeline import list_suspects
from include.storage import Store

COMPARED = timedelta(days=90)
# Ended longer ago, an incident whose draft was removed stays without.
RECENT = timedelta(days=1)
MOST = 100
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def post_mortem_address(incident: IncidentReport) -> str:
    """Address of an incident's draft, as a page; as Markdown it is beside it, in `post_mortem.md`."""
    return f"{incident.project}/reports/post_mortem/{incident.id}/index.html"


def write_post_mortem(number: int, ledger: Ledger, store: Store, now: datetime) -> str:
    """Draft the post-mortem of an incident as it stands; return the address of the page.

    :raises ArtifactNotFoundError: there is no incident of this number.
    """
    incident = find_incident(ledger, number)
    facts = _collect_facts(incident, ledger, now)
    address = post_mortem_address(incident)
    text = TEMPLATES.get_template("post_mortem.md.j2").render(facts)
    store.write(f"{address.rpartition('/')[0]}/post_mortem.md", text.encode())
    store.write(address, TEMPLATES.get_template("post_mortem.html.j2").render(facts).encode())
    return address


def write_missing(project: str, ledger: Ledger, store: Store, now: datetime) -> list[str]:
    """Draft the post-mortems of incidents that have ended in the last day and have none; return their addresses."""
    ended = [one for one in list_incidents(ledger, project, MOST) if one.resolved_at and one.resolved_at > now - RECENT]
    wanted = [one for one in ended if one.severity != "info" and not store.exists(post_mortem_address(one))]
    return [write_post_mortem(one.id, ledger, store, now) for one in wanted]


def _collect_facts(incident: IncidentReport, ledger: Ledger, now: datetime) -> dict[str, Any]:
    end = incident.resolved_at or now
    return {
        "incident": incident,
        "suspects": list_suspects(incident),
        "impact": measure_impact(ledger, incident.project, incident.opened_at, end),
        "duration": end - incident.opened_at,
        "waited": incident.acknowledged_at - incident.opened_at if incident.acknowledged_at else None,
        "usual": measure_response(ledger, incident.project, incident.opened_at - COMPARED),
        "drafted_at": now,
    }
