import base64
import io
import threading
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from include.predictions import append_rows
from include.serving.explaining import explain_answer, router
from include.serving.refusals import add_refusals

REQUEST = "digits-" + "0" * 32
KEPT = f"digits/images/served/{REQUEST}"


@pytest.fixture
def client(settings):
    app = FastAPI()
    app.state.settings = settings
    app.include_router(router)
    add_refusals(app)
    return TestClient(app)


@pytest.fixture
def answered(store, make_release, png):
    """Log an answer of a release, with its image kept; fields can be overwritten."""
    release = make_release(3)

    def log(name: str = "segment", **fields):
        row = {
            "request_id": REQUEST,
            "time": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "project": "digits",
            "release": release.digest,
            "model_version": 3,
            "predicted": "3",
            "answered_by": "champion",
            "image": KEPT,
        }
        append_rows(store, "predictions", name, [row | fields])
        store.write(KEPT, png)
        return release

    return log


def test_an_answer_is_explained_by_the_release_that_gave_it(client, answered):
    release = answered()
    found = client.get(f"/v1/explain/{REQUEST}").json()
    assert (found["request_id"], found["release"], found["model_version"]) == (REQUEST, release.digest, 3)
    assert found["predicted"] == "3"
    assert 0.5 < found["probability"] < 1
    assert np.shape(found["drops"]) == (len(found["rows"]), len(found["columns"]))
    picture = base64.b64decode(found["overlay"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(picture)).size == (256, 256)


def test_the_overlay_alone_is_a_picture(client, answered):
    answered()
    response = client.get(f"/v1/explain/{REQUEST}", params={"format": "png"})
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).format == "PNG"


def test_the_answer_is_found_among_many_days_and_files(client, answered):
    for day in range(1, 5):
        other = f"digits-{day:032x}"
        answered(f"day-{day}", request_id=other, time=datetime(2026, 3, day, tzinfo=UTC), predicted="7")
    answered("wanted")
    assert client.get(f"/v1/explain/{REQUEST}").json()["predicted"] == "3"


@pytest.mark.parametrize(
    ("request_id", "status", "error"),
    [
        ("digits-" + "1" * 32, 404, "unknown_request"),
        ("nobody-" + "0" * 32, 404, "unknown_request"),
        ("..%2F..%2Fetc", 404, "not_found"),
        ("digits", 422, "bad_request_id"),
        ("digits-" + "0" * 31 + "%00", 422, "bad_request_id"),
        ("a" * 500, 422, "bad_request"),
    ],
)
def test_what_was_never_answered_is_not_explained(client, answered, request_id, status, error):
    answered()
    response = client.get(f"/v1/explain/{request_id}")
    assert (response.status_code, response.json()["error"]) == (status, error)


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"image": None}, 404, "not_kept"),
        ({"image": "digits/images/served/gone"}, 404, "not_kept"),
        ({"release": "sha256:" + "b" * 64}, 404, "not_kept"),
        ({"answered_by": "baseline"}, 409, "no_model"),
        ({"answered_by": "abstain", "predicted": None}, 409, "no_model"),
        ({"answered_by": None}, 409, "no_model"),
    ],
)
def test_an_answer_without_image_or_model_says_why_it_stays_unexplained(client, answered, fields, status, error):
    answered(**fields)
    response = client.get(f"/v1/explain/{REQUEST}")
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert response.json()["reason"]
    assert response.json()["remedy"]


def test_a_second_explanation_at_once_is_asked_to_come_back(client, answered, monkeypatch):
    answered()
    began, go_on, answers = threading.Event(), threading.Event(), []

    def hold(store, request_id):
        began.set()
        go_on.wait(30)
        return explain_answer(store, request_id)

    monkeypatch.setattr("include.serving.explaining.explain_answer", hold)
    first = threading.Thread(target=lambda: answers.append(client.get(f"/v1/explain/{REQUEST}")))
    first.start()
    assert began.wait(30)
    refused = client.get(f"/v1/explain/{REQUEST}")
    go_on.set()
    first.join(30)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert [answer.status_code for answer in answers] == [200]
    assert client.get(f"/v1/explain/{REQUEST}").status_code == 200
