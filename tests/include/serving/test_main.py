"""Real processes, killed, switched and cut off under load."""

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from include.ledger.plans import list_replicas
from include.predictions import read_feedback, read_predictions
from include.settings import REPOSITORY

HOUR = timedelta(hours=1)


def logged(store) -> list[str]:
    table = read_predictions(store, "digits", datetime.now(UTC) - HOUR, datetime.now(UTC))
    return table["request_id"].to_pylist()


def stored(store, kind: str = "predictions") -> list[str]:
    """Request ids of every file of the log, doubles included."""
    import pyarrow.parquet as pq

    addresses = store.list(f"digits/{kind}", "*.parquet")
    return [name for a in addresses for name in pq.read_table(store.fetch(a))["request_id"].to_pylist()]


def test_a_kill_under_load_loses_no_answered_request(serve, make_release, want, load, store, wait_until):
    release = make_release()
    want(release)
    answered = []
    for _ in range(3):
        serving = serve()
        wait_until(lambda serving=serving: serving.state().get("live"), "a live release")
        clients = load(serving.uri)
        wait_until(lambda clients=clients: len(clients.answers) > 200, "200 answers")
        serving.end(signal.SIGKILL)
        clients.end()
        answered += [answer["request_id"] for answer in clients.answers]

    heir = serve()
    wait_until(lambda: httpx.get(f"{heir.uri}/healthz").json()["unpublished_segments"] == 0, "published segments")
    assert set(answered) <= set(logged(store))
    assert len(stored(store)) == len(set(stored(store)))


def test_a_kill_in_the_middle_of_a_canary_loses_no_row_and_doubles_none(
    serve, make_release, follow, load, store, wait_until
):
    champion, candidate = make_release(1), make_release(2, fails_above=80)
    follow(champion, candidate, weight=0.5, shadow=1.0)
    serving = serve()
    wait_until(lambda: serving.state().get("revision"), "a plan that is followed")
    clients = load(serving.uri)
    wait_until(lambda: len(clients.answers) > 100, "100 answers")
    serving.end(signal.SIGKILL)
    clients.end()

    heir = serve()
    wait_until(lambda: httpx.get(f"{heir.uri}/healthz").json()["unpublished_segments"] == 0, "published segments")
    end = datetime.now(UTC)
    rows = {row["request_id"]: row for row in read_predictions(store, "digits", end - HOUR, end).to_pylist()}
    for answer in clients.answers:
        row = rows[answer["request_id"]]
        assert (row["variant"], row["answered_by"], row["predicted"]) == (answer["variant"], "champion", "1")
        assert (row["failed"] is not None) == (answer["variant"] == "candidate")
    assert {row["variant"] for row in rows.values()} == {"champion", "candidate"}
    compared = stored(store, "comparisons")
    assert compared
    assert set(compared) <= set(rows)
    assert len(compared) == len(set(compared))


def test_a_switch_under_load_fails_no_request(serve, make_release, want, load, wait_until):
    first, second = make_release(1), make_release(2)
    want(first)
    serving = serve()
    wait_until(lambda: serving.state().get("live") == first.digest, "the first release")
    clients = load(serving.uri)
    for release in (second, first, second):
        want(release)
        wait_until(lambda release=release: serving.state()["live"] == release.digest, "a switch")
    wait_until(lambda: clients.answers[-1]["release"] == second.digest, "an answer of the second release")
    clients.end()

    assert clients.failures == []
    assert {answer["release"] for answer in clients.answers} == {first.digest, second.digest}
    favourites = {(answer["release"], answer["predicted"]) for answer in clients.answers}
    assert favourites == {(first.digest, "1"), (second.digest, "2")}


def test_a_damaged_release_is_rejected_and_the_old_one_keeps_serving(
    serve, make_release, want, load, store, wait_until
):
    good, bad = make_release(1), make_release(2)
    graph = store.fetch(bad.address) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    want(good)
    serving = serve()
    wait_until(lambda: serving.state().get("live") == good.digest, "the good release")
    clients = load(serving.uri)
    want(bad)
    rejected = wait_until(lambda: serving.state()["rejected"], "a rejection")
    clients.end()

    assert "damaged" in rejected[bad.digest]
    assert serving.state()["live"] == good.digest
    assert serving.state()["wanted"] == bad.digest
    assert clients.failures == []
    assert {answer["release"] for answer in clients.answers} == {good.digest}


def test_serves_on_without_the_ledger_and_after_a_restart_without_it(
    serve, make_release, want, png, wait_until, ledger_switch
):
    uri, away = ledger_switch
    first, second = make_release(1), make_release(2)
    want(first)
    serving = serve(uri)
    wait_until(lambda: serving.state().get("live"), "a live release")
    assert serving.state()["source"] == "ledger"
    with away():
        wait_until(lambda: serving.state()["source"] == "cache", "the outage to be noticed")
        assert httpx.post(f"{serving.uri}/v1/predict", content=png).status_code == 200
        serving.end(signal.SIGKILL)
        serving = serve(uri)
        assert httpx.get(f"{serving.uri}/readyz").status_code == 200
        answer = httpx.post(f"{serving.uri}/v1/predict", content=png)
        assert answer.json()["release"] == first.digest
        assert serving.state()["source"] == "cache"
        want(second)
    wait_until(lambda: serving.state()["live"] == second.digest, "the release wanted meanwhile")
    assert serving.state()["source"] == "ledger"


def test_an_orderly_end_publishes_everything(serve, make_release, want, png, store, wait_until, spill):
    want(make_release())
    serving = serve()
    wait_until(lambda: serving.state().get("live"), "a live release")
    answer = httpx.post(f"{serving.uri}/v1/predict", content=png).json()
    feedback = {"request_id": answer["request_id"], "label": "3"}
    assert httpx.post(f"{serving.uri}/v1/feedback", json=feedback).status_code == 202
    serving.end()

    assert serving.process.returncode in {0, -signal.SIGTERM}
    assert logged(store) == [answer["request_id"]]
    labels = read_feedback(store, "digits", datetime.now(UTC) - HOUR)
    assert labels.select(["request_id", "project", "label"]).to_pylist() == [{**feedback, "project": "digits"}]
    assert spill() == []


def test_starts_without_release_and_without_ledger_and_says_so(serve, settings, png):
    serving = serve("postgresql://nobody@127.0.0.1:1/none")
    assert httpx.get(f"{serving.uri}/healthz").status_code == 200
    assert httpx.get(f"{serving.uri}/readyz").status_code == 503
    refusal = httpx.post(f"{serving.uri}/v1/predict", content=png)
    assert refusal.status_code == 503
    assert "no project has a release yet" in refusal.json()["reason"]
    assert not (settings.home / "serving" / "plan.json").exists()


def test_refuses_to_start_without_a_ledger_address():
    environment = {name: value for name, value in os.environ.items() if name != "WINDHOVER_LEDGER_URI"}
    command = [sys.executable, "-m", "include.serving", "--port", "0"]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "WINDHOVER_LEDGER_URI" in ended.stderr


@pytest.mark.parametrize("where", [[], ["--port", "0", "--socket", "serving.sock"]])
def test_refuses_to_start_with_no_address_or_two(where):
    command = [sys.executable, "-m", "include.serving", *where]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--socket" in ended.stderr


def test_a_socket_that_a_killed_process_left_is_replaced_and_the_ledger_hears_of_the_process(
    settings, ledger, tmp_path, wait_until
):
    place = tmp_path / "a.sock"
    environment = os.environ | {
        "WINDHOVER_HOME": str(settings.home),
        "WINDHOVER_STORE": settings.store,
        "WINDHOVER_LEDGER_URI": settings.ledger_uri,
    }
    command = [sys.executable, "-m", "include.serving", "--socket", str(place), "--name", "serving-7"]

    def is_healthy():
        try:
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(place))) as client:
                return client.get("http://replica/healthz").is_success
        except httpx.TransportError:
            return False

    for ending in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL) as process:
            wait_until(is_healthy, "a healthy process")
            (report,) = wait_until(lambda: list_replicas(ledger), "a report")
            assert (report.name, report.address) == ("serving-7", f"unix:{place}")
            process.send_signal(ending)
        assert not is_healthy()
        assert place.exists()
    assert list_replicas(ledger) == []


def test_loads_neither_torch_nor_mlflow():
    probe = "import sys, include.serving.app; print(*sys.modules)"
    command = [sys.executable, "-c", probe]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "mlflow", "airflow", "pandas", "lance"}.isdisjoint(loaded)
    assert re.search(r"\bonnxruntime\b", " ".join(loaded))
