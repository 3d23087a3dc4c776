"""What Prometheus reads of one serving process."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.serving.admission import Admission
from include.serving.prediction import Prediction
from include.serving.service import Service

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ANSWERED = 200
FAILED = 500
# Status of a request that got no answer, because the process was told to stop.
GONE = 499


class Metrics:
    """The registry of one app, apart from the one that the process's libraries share."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._images = Counter(
            "windhover_images",
            "Images by what became of them; refused ones have no variant.",
            ("project", "variant", "answered_by", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "windhover_request_seconds",
            "From a request's first byte to its answer's last.",
            ("path", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )

    def count_answer(self, prediction: Prediction) -> None:
        """Count an image that was answered."""
        labels = (prediction.project, prediction.variant, prediction.answered_by, str(ANSWERED))
        self._images.labels(*labels).inc()

    def count_refusal(self, project: str, status: int) -> None:
        """Count an image that was refused."""
        self._images.labels(project, "", "", str(status)).inc()

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request by the pattern of its path."""
        self._seconds.labels(path, str(status)).observe(seconds)

    def watch(self, service: Service, images: Admission, bodies: Admission) -> None:
        """Read the state of a service whenever somebody asks for it."""
        self.registry.register(service.engine.batch_sizes)
        self.registry.register(_State(service, images, bodies))

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _State(Collector):
    """Numbers that others keep."""

    def __init__(self, service: Service, images: Admission, bodies: Admission) -> None:
        self._service = service
        self._gauges: dict[str, tuple[str, Callable[[], int]]] = {
            "windhover_images_in_flight": ("Images that are worked on.", lambda: images.taken),
            "windhover_images_waiting": ("Decoded images that wait for a graph.", lambda: service.engine.waiting),
            "windhover_body_bytes": ("Bytes of requests held in memory.", lambda: bodies.taken),
            "windhover_pixel_bytes": ("Bytes of decoded images held in memory.", lambda: service.engine.pixels.taken),
            "windhover_unpublished_segments": (
                "Segments of the prediction log that are still on their way to the store.",
                service.recorder.count_segments,
            ),
        }

    def collect(self) -> Iterator[Metric]:
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(name, text, value=read())
        dropped = self._service.comparer.dropped
        yield CounterMetricFamily("windhover_comparisons_dropped", "Comparisons there was no time for.", value=dropped)
        revision = GaugeMetricFamily("windhover_plan_revision", "Release plan that is followed.", labels=("project",))
        current = GaugeMetricFamily("windhover_plan_current", "1 while it is the newest one.", labels=("project",))
        for project, state in self._service.plan.describe().items():
            revision.add_metric((project,), state.revision or 0)
            is_current = state.source == "ledger" and state.revision == state.wanted_revision
            current.add_metric((project,), int(is_current))
        yield revision
        yield current


class RequestTimer:
    """Count and time every request, those that are refused at the door too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and look at the clock."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = GONE

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            status = FAILED
            raise
        finally:
            # The pattern, not the address: clients may ask for any number of addresses.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.observe_request(path, status, time.perf_counter() - started)
