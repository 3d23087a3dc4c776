import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef, RolloutRef, RolloutReport
from include.deployment.rollout import complete_rollout, judge_rollout, roll_back, roll_out
from include.ledger.audit import verify_chain
from include.ledger.releases import find_serving_releases, record_release
from include.ledger.tables import rollouts
from include.settings import REPOSITORY

OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def make_release(digest):
    dataset = DatasetRef(project="digits", address="digits/images.lance", version=1, digest=OLD, images=1, labelled=1)
    model = ModelRef(project="digits", key=OLD, run_id="run", weights=OLD, dataset=dataset)
    version = ModelVersionRef(model=model, version=1, accuracy=0.9)
    return ReleaseRef(model=version, address=f"digits/releases/{digest[7:]}", digest=digest, parity=0)


ROLLOUT = RolloutRef(id=1, release=make_release(NEW), previous=OLD)


@pytest.fixture
def says():
    """An HTTP server with one answer."""
    servers = []

    def start(body: str, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status if self.path == "/v1/release" else 404)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def state(**fields):
    known = {"live": OLD, "model_version": 1, "wanted": NEW, "rejected": {}, "source": "ledger"}
    return json.dumps({"projects": {"digits": known | fields}})


def judge(uri, seconds=60):
    return judge_rollout(ROLLOUT, uri, datetime.now(UTC) + timedelta(seconds=seconds))


def test_healthy_once_live(says):
    report = judge(says(state(live=NEW)))
    assert report.verdict == "healthy"
    assert report.rollout == ROLLOUT


def test_live_counts_even_past_the_deadline(says):
    assert judge(says(state(live=NEW)), -1).verdict == "healthy"


def test_unhealthy_with_the_reason_of_the_rejection(says):
    report = judge(says(state(rejected={NEW: "golden image 3 is off"})))
    assert report.verdict == "unhealthy"
    assert report.reasons == ("golden image 3 is off",)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(state(), id="still-loading"),
        pytest.param(state(wanted=OLD), id="not-seen-yet"),
        pytest.param(state(wanted=OLD, rejected={NEW: "old story"}), id="rejected-in-an-earlier-attempt"),
        pytest.param(json.dumps({"projects": {}}), id="project-not-seen-yet"),
        pytest.param("<html>", id="not-json"),
        pytest.param("[]", id="not-an-object"),
    ],
)
def test_too_early_to_tell_until_the_deadline(says, body):
    uri = says(body)
    assert judge(uri) is None
    report = judge(uri, -1)
    assert report.verdict == "unhealthy"
    assert NEW in report.reasons[0]
    assert "last seen" in report.reasons[0]


def test_an_unreachable_service_has_until_the_deadline():
    uri = "http://127.0.0.1:1"
    assert judge(uri) is None
    assert f"{uri} does not answer" in judge(uri, -1).reasons[0]


def test_an_error_page_is_not_an_answer(says):
    uri = says("oops", status=500)
    assert judge(uri) is None
    assert "500" in judge(uri, -1).reasons[0]


def test_a_rollout_is_found_again_by_its_run_and_completes(ledger):
    record_release(ledger, make_release(NEW))
    rollout = roll_out(make_release(NEW), ledger, "run-1")
    assert roll_out(make_release(NEW), ledger, "run-1") == rollout
    complete_rollout(rollout, ledger)
    assert find_serving_releases(ledger)["digits"].digest == NEW
    assert states(ledger) == [("completed", [])]


def test_rolling_back_returns_to_what_served_before_and_keeps_the_reasons(ledger, says):
    for digest in (OLD, NEW):
        record_release(ledger, make_release(digest))
    roll_out(make_release(OLD), ledger, "run-1")
    rollout = roll_out(make_release(NEW), ledger, "run-2")
    report = judge_rollout(rollout, says(state(rejected={NEW: "damaged"})), datetime.now(UTC) + timedelta(seconds=60))
    for _ in range(2):
        roll_back(report, ledger)
    assert find_serving_releases(ledger)["digits"].digest == OLD
    assert states(ledger) == [("started", []), ("rolled_back", ["damaged"])]


def test_rolling_back_the_first_release_leaves_none(ledger):
    record_release(ledger, make_release(NEW))
    rollout = roll_out(make_release(NEW), ledger, "run-1")
    report = judge_rollout(rollout, "http://127.0.0.1:1", datetime.now(UTC))
    roll_back(report, ledger)
    assert find_serving_releases(ledger) == {}


@pytest.mark.parametrize(
    ("complete", "forced", "entries"), [(False, False, 0), (False, True, 1), (True, False, 1), (True, True, 1)]
)
def test_what_a_person_takes_back_is_on_the_audit_chain(ledger, store, complete, forced, entries):
    for digest in (OLD, NEW):
        record_release(ledger, make_release(digest))
    roll_out(make_release(OLD), ledger, "run-1")
    rollout = roll_out(make_release(NEW), ledger, "run-2")
    if complete:
        complete_rollout(rollout, ledger)
    report = RolloutReport(rollout=rollout, verdict="unhealthy", reasons=("calls 3 an 8",))
    for _ in range(2):
        roll_back(report, ledger, "ada", forced=forced)
    chain, _ = verify_chain(ledger, "digits", store)
    told = [(entry.kind, entry.subject, entry.who, entry.why, entry.payload) for entry in chain]
    facts = {"rollout": rollout.id, "release": NEW, "returned_to": OLD}
    assert told == [("override", "rollout of version 1", "ada", "calls 3 an 8", facts)] * entries
    assert find_serving_releases(ledger)["digits"].digest == OLD


def test_importing_it_is_cheap():
    probe = "import sys, include.deployment.rollout; print(*sys.modules)"
    command = [sys.executable, "-c", probe]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "onnx", "onnxruntime", "sqlalchemy", "httpx", "mlflow"}.isdisjoint(loaded)


def states(ledger):
    with ledger.begin() as connection:
        rows = connection.execute(sa.select(rollouts.c.state, rollouts.c.reasons).order_by(rollouts.c.id))
        return [tuple(row) for row in rows]
