"""The watcher: a small process that looks, every few seconds, at what must not depend on Airflow."""

import logging
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from include.errors import LeaseHeldError, ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.changes import PLATFORM
from include.ledger.incidents import open_incident, resolve_key
from include.ledger.leases import take_lease
from include.monitoring.channels import tell_at_once
from include.monitoring.consequences import WATCHER
from include.monitoring.duties import Duties
from include.monitoring.notifying import say_where
from include.monitoring.services import MISSES
from include.settings import Settings
from include.storage import write_atomically

LOOK_SECONDS = 15.0
# Longer than the longest look: a watcher elsewhere takes over only from one that is dead.
LEASE_SECONDS = 120
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LOOK = timedelta(0)
LEDGER_KEY = "service/ledger"
RUNBOOK = "docs/runbook.md#postgresql-down"

logger = logging.getLogger(__name__)


class Watcher:
    """Does its duties while it holds the lease; any number of watchers may run, and one of them acts.

    :param beat: File that is written after every look, for whoever asks whether the watcher lives.
    """

    def __init__(self, settings: Settings, ledger: Ledger, beat: Path | None = None) -> None:
        self._ledger = ledger
        self._beat = beat
        # The same after a restart, so that a watcher that was killed goes on at once.
        self._holder = f"{socket.gethostname()}:{settings.home}"
        self._duties = Duties(settings, ledger)
        self._airflow = settings.airflow_page
        self._plan: tuple[tuple[Callable[[datetime], None], timedelta], ...] = (
            (self._duties.read_projects, MINUTE),
            (self._duties.ask, LOOK),
            (self._duties.sample_host, LOOK),
            (self._duties.forecast_host, MINUTE),
            (self._duties.measure_objectives, MINUTE),
            (self._duties.escalate, LOOK),
            (self._duties.draft_post_mortems, MINUTE),
            (self._duties.notify, LOOK),
            (self._duties.prune, HOUR),
        )
        self._done: dict[str, datetime] = {}
        self._trouble: dict[str, str] = {}
        self._lost_at: datetime | None = None
        self._losses = 0

    def watch(self, stopping: Event) -> None:
        """Look until told to stop."""
        while not stopping.is_set():
            self.look(datetime.now(UTC))
            stopping.wait(LOOK_SECONDS)

    def look(self, now: datetime) -> bool:
        """Look once; tell whether this watcher was the one to act.

        :param now: Moment with time zone.
        """
        acted = self._try("lease", lambda _: self._take_lease(), now)
        if acted:
            self._note_ledger_is_back(now)
            for duty, pause in self._plan:
                self._do(duty, pause, now)
        elif self._losses >= MISSES and self._lost_at is None:
            self._tell_ledger_is_lost(now)
        if self._beat:
            write_atomically(self._beat, f"{now.isoformat()}\n".encode())
        return acted

    def _take_lease(self) -> None:
        try:
            take_lease(self._ledger, WATCHER, self._holder, LEASE_SECONDS)
        except LeaseHeldError:
            # The ledger answers; whoever holds the lease says so.
            self._lost_at, self._losses = None, 0
            raise
        except ServiceUnavailableError:
            self._losses += 1
            raise

    def _do(self, duty: Callable[[datetime], None], pause: timedelta, now: datetime) -> None:
        name = duty.__name__
        last = self._done.get(name)
        if (last is None or now - last >= pause) and self._try(name, duty, now):
            self._done[name] = now

    def _try(self, name: str, work: Callable[[datetime], None], now: datetime) -> bool:
        """Do one thing; what goes wrong is told once, and must not keep the watcher from the rest."""
        try:
            work(now)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if self._trouble.get(name) != said:
                # Of these the message says all.
                known = isinstance(error, ServiceUnavailableError | LeaseHeldError)
                logger.warning("%s: %s", name, said, exc_info=not known)
            self._trouble[name] = said
            return False
        if self._trouble.pop(name, None):
            logger.info("%s: works again", name)
        return True

    def _tell_ledger_is_lost(self, now: datetime) -> None:
        self._lost_at = now
        logger.error("the ledger is away: no incident is opened, and no objective measured, until it answers again")
        said = self._trouble.get("lease", "")
        where = say_where(PLATFORM, RUNBOOK, self._airflow)
        body = f"{said}\nsince: {now:%Y-%m-%d %H:%M} UTC\n{where}"
        self._tell(f"[critical] {PLATFORM}: the ledger does not answer", body, now)

    def _note_ledger_is_back(self, now: datetime) -> None:
        lost_at, self._lost_at, self._losses = self._lost_at, None, 0
        if lost_at is None:
            return
        minutes = (now - lost_at).total_seconds() / 60
        self._try("ledger incident", lambda _: self._record_loss(lost_at, minutes), now)
        body = f"it was away for {minutes:.0f} minutes\nsince: {lost_at:%Y-%m-%d %H:%M} UTC"
        self._tell(f"[resolved] {PLATFORM}: the ledger answers again", body, now)

    def _record_loss(self, lost_at: datetime, minutes: float) -> None:
        open_incident(
            self._ledger,
            PLATFORM,
            kind="dead_service",
            key=LEDGER_KEY,
            title=f"the ledger did not answer for {minutes:.0f} minutes",
            impact="high",
            urgency="high",
            runbook=RUNBOOK,
            evidence={"summary": f"away since {lost_at.isoformat()}"},
            opened_at=lost_at,
            who=WATCHER,
        )
        resolve_key(self._ledger, PLATFORM, LEDGER_KEY, who=WATCHER, why="it answers again")

    def _tell(self, title: str, body: str, now: datetime) -> None:
        self._try("telling", lambda _: tell_at_once(self._duties.channels, title, body, "critical"), now)
