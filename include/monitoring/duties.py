"""What the watcher looks at, and what it makes of it: incidents of the stack's own parts, and of missed objectives."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from include.contracts import IncidentKind, Level
from include.ledger import Ledger
from include.ledger.changes import PLATFORM
from include.ledger.host import drop_samples, list_samples, record_sample
from include.ledger.incidents import open_incident, resolve_key
from include.ledger.objectives import Tally, drop_counts, record_counts
from include.ledger.plans import find_plans
from include.monitoring.channels import Channel, open_channels
from include.monitoring.consequences import WATCHER, drop_unpromised, settle_objective
from include.monitoring.counting import LogCounter
from include.monitoring.escalation import escalate_overdue
from include.monitoring.host import FULL, HostSampler, forecast
from include.monitoring.notifying import Told, deliver_due, queue_incidents
from include.monitoring.objectives import count_freshness, measure_objective
from include.monitoring.post_mortem import write_missing
from include.monitoring.series import read_performance_series
from include.monitoring.services import START_SECONDS, Change, Vitals, ask_replicas, ask_services, probe_projects
from include.monitoring.timeline import watch_changes
from include.project import NotifyPolicy, Project, load_projects
from include.settings import Settings

KEPT_SAMPLES, KEPT_COUNTS = timedelta(days=8), timedelta(days=91)
TREND = timedelta(days=7)
FULL_DAYS = 3.0
IMPACTS: dict[str, Level] = {"serving": "high", "airflow metadatabase": "high", "mlflow": "medium"}


class Duties:
    """Everything that is done at a look; each method does one thing, and may fail without the others."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._store = settings.open_store()
        self._projects: list[Project] = []
        self._vitals = Vitals()
        self._resources = Vitals(misses=2, start_seconds=0)
        self._sampler = HostSampler(settings.home)
        self._counters: dict[tuple[str, float], LogCounter] = {}
        self._probes: dict[str, dict[datetime, Tally]] = {}
        self._answered: set[str] = set()
        self._began: datetime | None = None
        self._told = Told()
        self._channels: list[Channel] | None = None

    @property
    def channels(self) -> list[Channel]:
        """The channels of this machine, opened when they are needed first."""
        if self._channels is None:
            self._channels = open_channels(self._settings.notify_urls)
        return self._channels

    def read_projects(self, now: datetime) -> None:
        """Read the project files anew, and note what has changed in them and in the code."""
        self._projects = load_projects(self._settings.projects)[0]
        watch_changes(self._projects, self._ledger)

    def ask(self, now: datetime) -> None:
        """Ask every part whether it is at work; open and resolve the incidents of those that are not."""
        with ThreadPoolExecutor(2) as pool:
            services, probes = pool.submit(ask_services, self._settings), pool.submit(self._probe, now)
            found = services.result() | ask_replicas(self._ledger)
            if not probes.result():
                # Nothing is to be served yet, and perhaps nobody there who could.
                del found["serving"]
        for change in self._vitals.note(found, now):
            impact = IMPACTS.get(change.service, "medium")
            self._tell(change, "dead_service", f"service/{change.service}", f"{change.service} is dead", impact)

    def sample_host(self, now: datetime) -> None:
        """Keep a sample of what the machine is busy with."""
        record_sample(self._ledger, self._sampler.measure(now))

    def forecast_host(self, now: datetime) -> None:
        """Open and resolve the incidents of resources that are used up, or will be soon."""
        found: dict[str, str] = {}
        for one in forecast(list_samples(self._ledger, now - TREND)):
            soon = one.resource == "disk" and one.days is not None and one.days <= FULL_DAYS
            found[one.resource] = one.summary if one.used >= FULL or soon else ""
        for change in self._resources.note(found, now):
            self._tell(change, "resource", f"host/{change.service}", change.why, "high")

    def measure_objectives(self, now: datetime) -> None:
        """Count what was answered, hold every project against its objectives, and do what follows."""
        failed: Exception | None = None
        for project in self._projects:
            try:
                self._measure(project, now)
            except Exception as error:  # noqa: BLE001 - the others are measured all the same
                failed = error
        if failed:
            raise failed

    def escalate(self, now: datetime) -> None:
        """Hand on incidents that nobody has taken on; those of the platform along the first path there is."""
        paths = {project.name: project.monitoring.escalation for project in self._projects}
        shared = next((policy for policy in paths.values() if policy.path), None)
        for name, policy in (paths | ({PLATFORM: shared} if shared else {})).items():
            escalate_overdue(name, policy, self._ledger, now)

    def draft_post_mortems(self, now: datetime) -> None:
        """Draft what is known of incidents that have ended."""
        for name in (PLATFORM, *(project.name for project in self._projects)):
            write_missing(name, self._ledger, self._store, now)

    def notify(self, now: datetime) -> None:
        """Tell what is to be told."""
        policies = {project.name: project.monitoring.notify for project in self._projects}
        # What is the matter with the platform concerns everybody.
        policies[PLATFORM] = NotifyPolicy(tags=tuple({tag for one in policies.values() for tag in one.tags}))
        queue_incidents(self._ledger, policies, self._told, now, self._settings.airflow_page)
        deliver_due(self._ledger, lambda: self.channels, policies, now)

    def prune(self, now: datetime) -> None:
        """Forget what nobody looks at any more."""
        drop_samples(self._ledger, now - KEPT_SAMPLES)
        drop_counts(self._ledger, now - KEPT_COUNTS)

    def _measure(self, project: Project, now: datetime) -> None:
        policy = project.monitoring.objectives
        self._counter(project.name, policy.max_latency_ms).count(now)
        count_freshness(project, self._ledger, now)
        drop_unpromised(project, self._ledger)
        labelled = read_performance_series(self._store, project.name, now - timedelta(days=policy.days))
        for objective in policy.targets:
            report, urgent = measure_objective(project, objective, self._ledger, labelled, now)
            newest = next((one for one in reversed(labelled) if one.labelled), None)
            settle_objective(project, report, self._ledger, urgent=urgent, newest=newest)

    def _counter(self, project: str, max_latency_ms: float) -> LogCounter:
        key = (project, max_latency_ms)
        if key not in self._counters:
            self._counters[key] = LogCounter(self._store, self._ledger, project, max_latency_ms)
        return self._counters[key]

    def _probe(self, now: datetime) -> int:
        """Count for every project in service whether the endpoint would have answered; return how many there are."""
        began = self._began = self._began or now
        minute = now.replace(second=0, microsecond=0)
        served = set(find_plans(self._ledger))
        for project, ready in probe_projects(self._settings, served).items():
            if ready:
                self._answered.add(project)
            elif project not in self._answered and (now - began).total_seconds() < START_SECONDS:
                continue
            before = self._probes.get(project, {}).get(minute, Tally(0, 0))
            self._probes[project] = {minute: Tally(before.good + ready, before.events + 1)}
            record_counts(self._ledger, project, "availability", "probe", self._probes[project])
        return len(served)

    def _tell(self, change: Change, kind: IncidentKind, key: str, title: str, impact: Level) -> None:
        if change.alive:
            resolve_key(self._ledger, PLATFORM, key, who=WATCHER, why=change.why)
            return
        anchor = "dead-service" if kind == "dead_service" else "resources"
        open_incident(
            self._ledger,
            PLATFORM,
            kind=kind,
            key=key,
            title=title,
            impact=impact,
            urgency="high",
            runbook=f"docs/runbook.md#{anchor}",
            evidence={"summary": change.why},
            who=WATCHER,
        )
