"""Drafts of post-mortems: what is known of an incident, laid out for people to complete.

Sections after Beyer et al., Site Reliability Engineering (2016), appendix D.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.contracts import IncidentReport
from include.ledger import Ledger
from include.ledger.incidents import find_incident, list_incidents
from include.ledger.response_times import measure_response
from include.monitoring.timeline import list_suspects
from include.predictions import read_predictions
from include.storage import Store

# Who answers where no model can.
LAST_RESORTS = ("baseline", "abstain")
# Of an incident that goes on for days, the requests of the first one are counted.
LONGEST = timedelta(days=1)
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
    facts = _collect_facts(incident, ledger, store, now)
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


def _collect_facts(incident: IncidentReport, ledger: Ledger, store: Store, now: datetime) -> dict[str, Any]:
    end = incident.resolved_at or now
    until = min(end, incident.opened_at + LONGEST)
    answers = read_predictions(store, incident.project, incident.opened_at, until)
    answered = {"until": until, "whole": until == end, **_count(answers)}
    return {
        "incident": incident,
        "suspects": list_suspects(incident),
        "requests": answered,
        "duration": end - incident.opened_at,
        "waited": incident.acknowledged_at - incident.opened_at if incident.acknowledged_at else None,
        "usual": measure_response(ledger, incident.project, incident.opened_at - COMPARED),
        "drafted_at": now,
    }


def _count(answers: pa.Table) -> dict[str, int]:
    """Count requests: all, those whose model failed, those that no model answered."""
    resorted = pc.is_in(answers["answered_by"], pa.array(LAST_RESORTS))
    return {
        "all": answers.num_rows,
        "failed": answers.num_rows - answers["failed"].null_count,
        "unanswered": int(pc.sum(resorted).as_py() or 0),
    }
