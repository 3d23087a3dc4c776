from typing import get_args

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from include.serving.refusals import REMEDIES, Refusal, RefusedRequestError, add_refusals, refuse_image
from include.vision.decoding import RejectedImageError, RejectionReason


class Order(BaseModel):
    amount: int


@pytest.fixture
def client():
    app = FastAPI()
    add_refusals(app)

    @app.post("/order")
    def order(order: Order) -> Order:
        raise RefusedRequestError(order.amount, "full", "the disk is full", "free some space")

    return TestClient(app)


@pytest.mark.parametrize("reason", get_args(RejectionReason))
def test_every_rejected_image_gets_its_own_remedy_and_blames_the_client(reason):
    refused = refuse_image(RejectedImageError(reason, "what is wrong"))
    assert 400 <= refused.status < 500
    assert refused.refusal == Refusal(error=reason, reason="what is wrong", remedy=REMEDIES[reason])


def test_no_remedy_is_for_a_reason_that_does_not_exist():
    assert set(REMEDIES) == set(get_args(RejectionReason))
    assert len(set(REMEDIES.values())) == len(REMEDIES)


def test_a_refusal_reaches_the_client_whole(client):
    answer = client.post("/order", json={"amount": 503})
    assert answer.status_code == 503
    assert answer.json() == {"error": "full", "reason": "the disk is full", "remedy": "free some space"}
    assert "connection" not in answer.headers


def test_the_rest_of_a_body_that_is_too_large_is_not_waited_for(client):
    assert client.post("/order", json={"amount": 413}).headers["connection"] == "close"


@pytest.mark.parametrize(
    ("content", "where"),
    [(b'{"amount": "many"}', "amount: "), (b"{}", "amount: "), (b"[]", "body: "), (b"{", "JSON")],
)
def test_an_impossible_body_is_refused_like_everything_else(client, content, where):
    answer = client.post("/order", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    refusal = Refusal.model_validate(answer.json())
    assert refusal.error == "bad_request"
    assert where in refusal.reason
    assert "/openapi.json" in refusal.remedy
