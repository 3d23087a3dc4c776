import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from include.contracts import ReplicaReport
from include.ledger.plans import record_replica
from include.ledger.tables import replicas
from include.monitoring.services import (
    MISSES,
    START_SECONDS,
    Change,
    Vitals,
    ask_replicas,
    ask_services,
    probe_projects,
)
from include.settings import Settings

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HEALTHY = {"status": "healthy", "latest_scheduler_heartbeat": "2026-03-02T12:00:00Z"}


@pytest.fixture
def answers() -> dict[str, object]:
    """What the server answers by path: JSON, or a status."""
    return {
        "/health": {},
        "/healthz": {"status": "ok"},
        "/readyz": {"status": "ready", "projects": ["digits"]},
        "/api/v2/monitor/health": {"scheduler": HEALTHY, "triggerer": HEALTHY, "metadatabase": {"status": "healthy"}},
    }


@pytest.fixture
def settings(answers) -> Iterator[Settings]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path, 404)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield Settings(mlflow_uri=url, serving_uri=url, airflow_uri=f"{url}/")
    server.shutdown()
    server.server_close()


@pytest.fixture
def see() -> Callable[..., list[Change]]:
    vitals, clock = Vitals(), [NOW]

    def see(*looks: str) -> list[Change]:
        changes = []
        for why in looks:
            clock[0] += timedelta(seconds=15)
            changes += vitals.note({"mlflow": why}, clock[0])
        return changes

    return see


def test_a_service_is_dead_after_some_misses_and_told_once(see):
    see("", "")
    assert see(*["gone"] * (MISSES - 1)) == []
    assert see("gone") == [Change("mlflow", alive=False, why="gone")]
    assert see(*["gone"] * 5) == []
    assert see("") == []
    assert see("") == [Change("mlflow", alive=True, why="it answers again")]


def test_a_miss_now_and_then_is_no_death(see):
    see("", "")
    assert [change for change in see(*["gone", "gone", ""] * 5) if not change.alive] == []


def test_what_never_answered_may_still_be_starting(see):
    assert see(*["gone"] * int(START_SECONDS // 15 - 1)) == []
    assert [change.alive for change in see(*["gone"] * 5)] == [False]


def test_a_healthy_stack_has_nothing_wrong(settings):
    assert set(ask_services(settings).values()) == {""}
    assert {"mlflow", "serving", "airflow api-server", "airflow scheduler"} <= set(ask_services(settings))


@pytest.mark.parametrize("answer", [503, b"<html>", []])
def test_whatever_airflow_answers_is_no_crash(settings, answers, answer):
    answers["/api/v2/monitor/health"] = answer
    assert ask_services(settings)["mlflow"] == ""
    assert "airflow api-server" in ask_services(settings)


def test_airflow_tells_of_its_parts(settings, answers):
    stale = {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-03-02T11:00:00Z"}
    answers["/api/v2/monitor/health"] = {"scheduler": stale, "triggerer": {"status": None}}
    found = ask_services(settings)
    assert "2026-03-02T11:00:00Z" in found["airflow scheduler"]
    assert found["airflow api-server"] == ""
    assert "airflow triggerer" not in found


def test_what_does_not_answer_is_named():
    nobody = Settings(mlflow_uri="http://127.0.0.1:9", serving_uri="http://127.0.0.1:9", airflow_uri="nonsense")
    found = ask_services(nobody)
    assert all(found[name] for name in ("mlflow", "serving", "airflow api-server"))
    assert probe_projects(nobody, {"digits"}) == {"digits": False}


def test_a_project_is_answered_while_the_endpoint_says_so(settings, answers):
    assert probe_projects(settings, {"digits", "faces"}) == {"digits": True, "faces": False}
    answers["/readyz"] = 503
    assert probe_projects(settings, {"digits"}) == {"digits": False}


def test_a_silent_replica_is_found_until_it_is_forgotten(ledger):
    for name in ("serving-1", "serving-2"):
        record_replica(
            ledger,
            ReplicaReport(
                name=name, address="unix:x", started_at=NOW, revisions={}, held={}, rejected={}, source="ledger"
            ),
        )
    assert set(ask_replicas(ledger).values()) == {""}
    with ledger.begin() as connection:
        old = sa.update(replicas).where(replicas.c.name == "serving-2")
        connection.execute(old.values(seen_at=sa.func.now() - timedelta(minutes=2)))
    found = ask_replicas(ledger)
    assert found["replica serving-1"] == ""
    assert "not reported" in found["replica serving-2"]
