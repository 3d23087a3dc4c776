"""What a serving process says of itself."""

import re

import pytest
from fastapi.testclient import TestClient

import include.serving.intake as intake_module
from include.serving.app import create_app


@pytest.fixture
def champion(client):
    return client.app.state.intake.service.find_live("digits").champion


def test_no_release_yet_is_said(settings, ledger, png):
    with TestClient(create_app(settings)) as client:
        refusal = client.post("/v1/predict?project=digits", content=png)
        assert refusal.status_code == 503
        assert "no release in service yet" in refusal.json()["reason"]
        assert "digits.deploy_model" in refusal.json()["remedy"]
        assert client.get("/readyz").json()["error"] == "no_release"
        assert client.get("/healthz").json() == {"status": "ok", "unpublished_segments": 0}
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200
        assert "No project has a release yet" in client.get("/").text


def test_a_process_is_ready_while_its_model_answers_as_it_did(client, champion, monkeypatch):
    monkeypatch.setattr(intake_module, "READY_SECONDS", 0)
    assert client.get("/readyz").json() == {"status": "ready", "projects": ["digits"]}
    golden = champion.manifest.golden[0]
    spoiled = golden.model_copy(update={"probabilities": (1.0, *[0.0] * 9)})
    object.__setattr__(champion, "manifest", champion.manifest.model_copy(update={"golden": (spoiled,)}))
    refusal = client.get("/readyz")
    assert (refusal.status_code, refusal.json()["error"]) == (503, "wrong_answers")
    assert "off" in refusal.json()["reason"]
    assert client.get("/v2/models/digits/ready").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_whoever_asks_often_costs_one_check(client, champion):
    asked = []
    session = champion.graph

    class Counting:
        def run(self, *arguments):
            asked.append(1)
            return session.run(*arguments)

        def __getattr__(self, name):
            return getattr(session, name)

    object.__setattr__(champion, "graph", Counting())
    assert {client.get("/readyz").status_code for _ in range(20)} == {200}
    assert len(asked) == 1


def test_metrics_count_images_requests_and_plans(client, png):
    for body in (png, png, b"no image"):
        client.post("/v1/predict", content=body)
    client.get("/somewhere/else")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = dict(re.findall(r"^(windhover_\S+) (\S+)$", answer.text, re.MULTILINE))
    labels = 'answered_by="{0}",project="digits",status="{1}",variant="{0}"'
    assert found["windhover_images_total{" + labels.format("champion", 200) + "}"] == "2.0"
    assert found["windhover_images_total{" + labels.format("", 422) + "}"] == "1.0"
    assert found['windhover_request_seconds_count{path="/v1/predict",status="200"}'] == "2.0"
    assert found['windhover_request_seconds_count{path="/v1/predict",status="422"}'] == "1.0"
    assert found['windhover_request_seconds_count{path="other",status="404"}'] == "1.0"
    assert found["windhover_batch_images_sum"] == "2.0"
    assert found['windhover_plan_current{project="digits"}'] == "1.0"
    assert float(found['windhover_plan_revision{project="digits"}']) >= 1
    assert found["windhover_comparisons_dropped_total"] == "0.0"
    idle = ("images_in_flight", "images_waiting", "body_bytes", "pixel_bytes")
    assert {found[f"windhover_{name}"] for name in idle} == {"0.0"}


def test_a_rollout_under_way_is_shown(client, make_release, follow):
    champion, candidate = make_release(7), make_release(8)
    plan = follow(champion, candidate, weight=0.25, shadow=1.0, previous=make_release(6))
    client.app.state.intake.service.plan.reconcile()
    state = client.get("/v1/release").json()["projects"]["digits"]
    assert (state["live"], state["candidate"], state["weight"]) == (champion.digest, candidate.digest, 0.25)
    assert state["revision"] == state["wanted_revision"] == plan.revision
    page = client.get("/").text
    assert "answers 25 %" in page
    assert candidate.digest[7:19] in page
    assert "as wanted" in page


def test_a_plan_that_cannot_be_followed_is_shown_with_its_reason(client, make_release, follow):
    plan = follow(make_release(8, answers=[0.1] * 10))
    client.app.state.intake.service.plan.reconcile()
    state = client.get("/v1/release").json()["projects"]["digits"]
    assert (state["model_version"], state["wanted_revision"]) == (7, plan.revision)
    page = client.get("/").text
    assert f"plan {plan.revision}" in page
    assert "as wanted" not in page
    assert "Rejected" in page
    assert 'windhover_plan_current{project="digits"} 0.0' in client.get("/metrics").text
