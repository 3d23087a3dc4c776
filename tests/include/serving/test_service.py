import time

import numpy as np
import pytest

from include.predictions import PREDICTIONS
from include.serving.refusals import RefusedRequestError
from include.serving.service import Feedback, Service

DIGITS_REQUEST = "digits-" + "0" * 32


@pytest.fixture
def service(settings):
    service = Service(settings, threads=1)
    yield service
    service.pool.shutdown()


@pytest.fixture
def model(service, make_release, want):
    want(make_release(7))
    service.plan.reconcile()
    return service.choose_model("digits")


def refuse(work, *arguments):
    with pytest.raises(RefusedRequestError) as raised:
        work(*arguments)
    return raised.value.status, raised.value.refusal


def test_an_answer_is_on_disk_before_anybody_sees_it(service, model, png, spill):
    started = time.perf_counter()
    answers = [service.predict(model, png, started) for _ in range(2)]
    rows = spill()
    assert [row["request_id"] for row in rows] == [answer.request_id for answer in answers]
    assert answers[0].request_id != answers[1].request_id
    assert set(rows[0]) == {*PREDICTIONS.names, "kind"}
    assert rows[0]["probabilities"] == list(answers[0].probabilities.values())
    assert 0 < rows[0]["latency_ms"] <= rows[1]["latency_ms"] <= (time.perf_counter() - started) * 1000


def test_a_label_finds_its_project_by_the_request_alone(service, model, make_release, want, png, spill):
    want(make_release(2, name="defects"))
    service.plan.reconcile()
    answer = service.predict(service.choose_model("defects"), png, time.perf_counter())
    service.accept(Feedback(request_id=answer.request_id, label="4"))
    told = spill()[-1]
    assert (told["kind"], told["project"], told["label"]) == ("feedback", "defects", "4")


@pytest.mark.parametrize(
    "request_id",
    ["", "0" * 32, DIGITS_REQUEST[:-1], f"{DIGITS_REQUEST}\n", DIGITS_REQUEST.upper(), f"../{DIGITS_REQUEST}"],
)
def test_what_this_service_never_answered_cannot_be_labelled(service, model, spill, request_id):
    status, refusal = refuse(service.accept, Feedback(request_id=request_id, label="4"))
    assert (status, refusal.error) == (422, "bad_request_id")
    assert spill() == []


def test_a_label_that_is_no_class_is_refused_with_the_classes(service, model, spill):
    status, refusal = refuse(service.accept, Feedback(request_id=DIGITS_REQUEST, label="four"))
    assert (status, refusal.error) == (422, "unknown_label")
    assert refusal.remedy == "use one of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert spill() == []


def test_one_project_need_not_be_named_and_of_two_one_must(service, model, make_release, want):
    assert service.choose_model(None) is model
    want(make_release(2, name="defects"))
    service.plan.reconcile()
    status, refusal = refuse(service.choose_model, None)
    assert (status, refusal.error) == (400, "project_missing")
    assert "defects, digits" in refusal.reason


def test_a_project_without_a_release_is_told_from_one_that_does_not_exist(service, ledger):
    status, refusal = refuse(service.choose_model, "digits")
    assert (status, refusal.error, refusal.reason) == (503, "no_release", "digits has no release in service yet")
    status, refusal = refuse(service.choose_model, "x" * 1000)
    assert (status, refusal.error) == (404, "unknown_project")
    assert len(refusal.reason) < 120
    assert "digits" in refusal.remedy
    assert refuse(service.choose_model, None)[1].error == "no_release"


def test_why_the_only_release_is_not_in_service_is_told(service, make_release, want):
    want(make_release(1, answers=np.eye(10)[5]))
    service.plan.reconcile()
    status, refusal = refuse(service.choose_model, "digits")
    assert (status, refusal.error) == (503, "no_release")
    assert "golden/000.png" in refusal.reason


def test_what_cannot_be_recorded_is_not_answered(service, model, png, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(service.recorder, "append", fail)
    feedback = Feedback(request_id=DIGITS_REQUEST, label="4")
    for work, *arguments in ((service.predict, model, png, 0.0), (service.accept, feedback)):
        status, refusal = refuse(work, *arguments)
        assert (status, refusal.error) == (503, "not_recorded")
        assert "No space left" in refusal.reason
