"""What was in force when: project files and code, noted as they change, so that incidents can name what changed."""

import re
from collections.abc import Iterable

from include.contracts import IncidentEventReport, IncidentReport
from include.ledger import Ledger
from include.ledger.changes import record_sighting
from include.project import Project
from include.settings import REPOSITORY
from include.storage import digest_bytes

FOLDERS = ("dags", "include", "plugins")
SUSPECT = re.compile(r"suspect (\d+): ")


def watch_changes(projects: Iterable[Project], ledger: Ledger) -> None:
    """Note every project file, and the code, that differs from when it was last looked at."""
    for project in projects:
        record_sighting(ledger, project.name, "configuration", project.model_dump_json())
    record_sighting(ledger, "", "code", digest_sources())


def digest_sources() -> str:
    """Digest of all sources that tasks and serving processes run, shortened for people."""
    paths = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))
    listing = "\n".join(f"{path.relative_to(REPOSITORY)} {digest_bytes(path.read_bytes())}" for path in paths)
    return digest_bytes(listing.encode()).removeprefix("sha256:")[:12]


def list_suspects(incident: IncidentReport) -> list[IncidentEventReport]:
    """Return the changes that an incident's opening found, the most suspected first."""
    ranked = [(found, event) for event in incident.timeline if (found := SUSPECT.match(event.what))]
    return [event for found, event in sorted(ranked, key=lambda pair: int(pair[0][1]))]
