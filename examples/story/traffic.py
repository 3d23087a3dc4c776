"""Live traffic: photographs sent to the endpoint, and the labels that come later."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from examples.camera import CLEAN_LENS, Lens, photograph, true_label
from examples.story.errors import require


@dataclass
class Sample:
    """Some requests in a row, all through one lens."""

    started: datetime
    answered: int = 0
    correct: int = 0
    failures: list[str] = field(default_factory=list)
    releases: set[str] = field(default_factory=set)

    @property
    def accuracy(self) -> float:
        """Share of answers that were right."""
        return self.correct / self.answered if self.answered else 0.0


class Traffic:
    """Sends photographs of one project's specimens to the serving processes.

    :param url: Base address of the serving processes.
    :param token: What they ask for.
    :param specimens: Specimens the pipeline never gets to see in the drop folder.
    """

    def __init__(self, url: str, token: str, project: str, specimens: Sequence[int]) -> None:
        self.http = httpx.Client(base_url=url, timeout=10, headers={"Authorization": f"Bearer {token}"})
        self.project = project
        self.specimens = list(specimens)
        self.shots = 0
        self._lock = threading.Lock()

    def send(self, lens: Lens, count: int) -> Sample:
        """Send photographs one after the other, then their true labels."""
        sample = Sample(started=datetime.now(UTC))
        for _ in range(count):
            self.send_one(lens, sample)
        return sample

    def keep_sending(self, lens: Lens, per_second: float) -> "Background":
        """Send photographs in the background until told to stop."""
        return Background(self, lens, per_second)

    def find_release(self) -> str | None:
        """Return the digest of the release that serves; none does yet: None."""
        projects = self.http.get("/v1/release").json()["projects"]
        live: str | None = projects.get(self.project, {}).get("live")
        return live

    def ask_once(self) -> str:
        """Send one photograph, and return which release answered."""
        image = photograph(self.specimens[0], CLEAN_LENS, 0)
        answer = self.http.post("/v1/predict", params={"project": self.project}, content=image)
        require(answer.status_code == 200, f"the endpoint answers (it said {answer.status_code}: {answer.text[:200]})")
        return str(answer.json()["release"])

    def send_one(self, lens: Lens, sample: Sample) -> None:
        """Send the next photograph and its label, and note in the sample what came back."""
        with self._lock:
            specimen, self.shots = self.specimens[self.shots % len(self.specimens)], self.shots + 1
        image, label = photograph(specimen, lens, self.shots), true_label(specimen)
        body = self._post("/v1/predict", sample, params={"project": self.project}, content=image)
        if body is None:
            return
        sample.answered += 1
        sample.correct += body["predicted"] == label
        sample.releases.add(body["release"])
        self._post("/v1/feedback", sample, json={"request_id": body["request_id"], "label": label})

    def _post(self, path: str, sample: Sample, **request: Any) -> dict[str, Any] | None:
        try:
            answer = self.http.post(path, **request)
        except httpx.TransportError as error:
            sample.failures.append(f"{type(error).__name__}: {error}")
            return None
        if answer.is_error:
            sample.failures.append(f"HTTP {answer.status_code}: {answer.text[:200]}")
            return None
        return dict(answer.json())


class Background:
    """Traffic that flows while the pipeline works; leaving the block stops it."""

    def __init__(self, traffic: Traffic, lens: Lens, per_second: float) -> None:
        self.sample = Sample(started=datetime.now(UTC))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(traffic, lens, 1 / per_second), daemon=True)

    def __enter__(self) -> Sample:
        """Start sending."""
        self._thread.start()
        return self.sample

    def __exit__(self, *_: object) -> None:
        """Stop after the request under way."""
        self._stop.set()
        self._thread.join()

    def _run(self, traffic: Traffic, lens: Lens, pause: float) -> None:
        # Open loop: the next request leaves on time, however long the last one took.
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            traffic.send_one(lens, self.sample)
            due += pause
