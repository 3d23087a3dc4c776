"""The whole app; its endpoints are tested in files of their own, processes of their own in test_main.py."""

from fastapi.testclient import TestClient

from include.serving.app import create_app

PATHS = {
    "/v1/predict",
    "/v1/feedback",
    "/v1/release",
    "/v1/explain/{request_id}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{model}",
    "/v2/models/{model}/ready",
    "/v2/models/{model}/infer",
}


def test_people_and_programs_find_their_way(client):
    page = client.get("/").text
    assert "as wanted" in page
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == PATHS
    assert all(path in page for path in PATHS)
    assert all(method["summary"] for path in paths.values() for method in path.values())


def test_what_does_not_exist_is_refused_like_everything_else(client):
    missing = client.get("/v1/predictions")
    assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
    wrong = client.get("/v1/predict")
    assert (wrong.status_code, wrong.json()["error"]) == (405, "method_not_allowed")
    assert client.get("/v2/models").json() == {
        "error": "GET /v2/models: Not Found; see /openapi.json for what there is"
    }


def test_nothing_of_one_app_outlives_it(settings, make_release, want, png):
    want(make_release(2))
    for _ in range(2):
        with TestClient(create_app(settings)) as client:
            client.app.state.intake.service.plan.reconcile()
            assert client.post("/v1/predict", content=png).json()["predicted"] == "2"
            assert 'windhover_images_total{answered_by="champion"' in client.get("/metrics").text
