"""Who knows the token is let in, over every path but those for health."""

import base64

import pytest
from fastapi.testclient import TestClient

from include.serving.app import create_app
from include.serving.tokens import OPEN_PATHS

TOKEN = "s3cret-of-this-test"  # noqa: S105


def password(token):
    return "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()


@pytest.fixture
def guarded(settings, make_release, want):
    want(make_release(7))
    with TestClient(create_app(settings.model_copy(update={"serving_token": TOKEN}))) as client:
        client.app.state.intake.service.plan.reconcile()
        yield client


def test_only_health_is_told_to_strangers(guarded):
    for path, methods in guarded.app.openapi()["paths"].items():
        for method in methods:
            answer = guarded.request(method, path.format(model="digits", request_id="x"), content=b"x")
            assert (answer.status_code != 401) == (path in OPEN_PATHS), path
    for path in ("/", "/openapi.json", "/v1/predict/", "/nowhere", "/healthz/x", "//healthz"):
        assert guarded.get(path).status_code == 401


@pytest.mark.parametrize(
    "told",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Token {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
        "Basic %%%",
        "Basic é",
        password(""),
        password(TOKEN.upper()),
    ],
)
def test_a_wrong_token_is_refused_with_a_reason(guarded, png, spill, told):
    headers = {} if told is None else {"Authorization": told.encode()}
    refusal = guarded.post("/v1/predict", content=png, headers=headers)
    assert (refusal.status_code, refusal.json()["error"]) == (401, "unauthorized")
    assert refusal.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN not in refusal.text
    assert spill() == []


@pytest.mark.parametrize("told", [f"Bearer {TOKEN}", f"bearer {TOKEN}", password(TOKEN)])
def test_who_knows_the_token_is_answered(guarded, png, told):
    assert guarded.post("/v1/predict", content=png, headers={"Authorization": told}).json()["predicted"] == "7"


def test_a_browser_is_asked_for_a_password(guarded):
    assert guarded.get("/").headers["www-authenticate"].startswith("Basic")
    assert "Windhover serving" in guarded.get("/", headers={"Authorization": password(TOKEN)}).text


def test_without_a_token_nobody_is_refused(client, png):
    assert client.post("/v1/predict", content=png, headers={"Authorization": "Bearer x"}).status_code == 200


def test_a_refusal_over_the_inference_protocol_is_one_that_its_clients_read(guarded):
    refusal = guarded.get("/v2/models/digits")
    assert set(refusal.json()) == {"error"}
    assert "token" in refusal.json()["error"]
