"""Ask the parts of the stack whether they are at work, and remember for how long they have not been."""

from datetime import datetime
from typing import Any, NamedTuple

import httpx

from include.ledger import Ledger
from include.ledger.plans import ALIVE_SECONDS, list_replicas
from include.settings import Settings

SECONDS = 5.0
# Known to the ledger for an hour after its last word; a swap leaves replicas of another name behind.
REMEMBERED_SECONDS = 3600.0
# Looks in a row: one missed answer is no death, and one answer no life.
MISSES = 3
ANSWERS = 2
# What never answered may still be starting.
START_SECONDS = 300.0
AIRFLOW_PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


class Change(NamedTuple):
    """A service that went or came back."""

    service: str
    alive: bool
    why: str


class Vitals:
    """What a watcher remembers of the services it asks; a new one begins anew, and takes nothing for dead at once.

    :param misses: Looks in a row without an answer that are a death.
    :param start_seconds: How long what never answered may still be starting.
    """

    def __init__(self, misses: int = MISSES, start_seconds: float = START_SECONDS) -> None:
        self._misses = misses
        self._start_seconds = start_seconds
        self._looks: dict[str, int] = {}
        self._dead: set[str] = set()
        self._known: dict[str, datetime] = {}
        self._alive_once: set[str] = set()

    def note(self, found: dict[str, str], now: datetime) -> list[Change]:
        """Add one look; return what has changed.

        :param found: What is wrong with each service, nothing where it answers.
        :param now: Moment with time zone.
        """
        return [change for service, why in found.items() if (change := self._note_one(service, why, now))]

    def _note_one(self, service: str, why: str, now: datetime) -> Change | None:
        since = self._known.setdefault(service, now)
        if not why:
            self._alive_once.add(service)
        # Answers count upwards from 1, misses downwards from -1; any change of mind begins again.
        looks = self._looks.get(service, 0)
        looks = self._looks[service] = max(looks, 0) + 1 if not why else min(looks, 0) - 1
        starting = service not in self._alive_once and (now - since).total_seconds() < self._start_seconds
        if looks <= -self._misses and service not in self._dead and not starting:
            self._dead.add(service)
            return Change(service, alive=False, why=why)
        if looks == ANSWERS:
            # Also told of what this watcher never saw dead: the one before may have.
            self._dead.discard(service)
            return Change(service, alive=True, why="it answers again")
        return None


def ask_services(settings: Settings) -> dict[str, str]:
    """Return what is wrong with each service that answers HTTP, nothing where it is at work."""
    found = {
        "mlflow": _ask(f"{settings.mlflow_uri.rstrip('/')}/health"),
        "serving": _ask(f"{settings.serving_uri.rstrip('/')}/healthz"),
    }
    return found | _ask_airflow(f"{settings.airflow_uri.rstrip('/')}/api/v2/monitor/health")


def ask_replicas(ledger: Ledger) -> dict[str, str]:
    """Return what is wrong with each serving process that the ledger remembers, nothing where it reports.

    :raises ServiceUnavailableError: the ledger does not answer.
    """
    alive = {replica.name for replica in list_replicas(ledger, 2 * ALIVE_SECONDS)}
    silent = f"it has not reported for {2 * ALIVE_SECONDS:.0f} s"
    return {
        f"replica {replica.name}": "" if replica.name in alive else silent
        for replica in list_replicas(ledger, REMEMBERED_SECONDS)
    }


def probe_projects(settings: Settings, projects: set[str]) -> dict[str, bool]:
    """Tell of each project whether the endpoint answers images right now, as a client would find it."""
    ready: set[str] = set()
    answer, _ = _get(f"{settings.serving_uri.rstrip('/')}/readyz")
    if answer is not None:
        ready = set(answer.get("projects", ()))
    return {project: project in ready for project in projects}


def _ask(url: str) -> str:
    return _get(url)[1]


def _ask_airflow(url: str) -> dict[str, str]:
    answer, why = _get(url)
    if answer is None:
        return {"airflow api-server": why}
    parts = {part: answer.get(part) or {} for part in AIRFLOW_PARTS}
    found = {f"airflow {part}": _read_status(health) for part, health in parts.items() if health.get("status")}
    return {"airflow api-server": ""} | found


def _read_status(health: dict[str, Any]) -> str:
    beat = next((value for name, value in health.items() if name.startswith("latest_") and value), None)
    return "" if health["status"] == "healthy" else f"{health['status']}; last heartbeat: {beat or 'none'}"


def _get(url: str) -> tuple[dict[str, Any] | None, str]:
    """Return what an address answers, or why it does not."""
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            answer = client.get(url)
        if not answer.is_success:
            return None, f"{url} answers {answer.status_code}"
        found = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    except (httpx.HTTPError, ValueError) as error:
        return None, f"{url} does not answer: {type(error).__name__} {error}".strip()
    return (found if isinstance(found, dict) else {}), ""
