"""Requests without HTTP: routed, answered by somebody, recorded."""

import asyncio
import os
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.contracts import RecordingPolicy
from include.predictions import PREDICTIONS, read_predictions
from include.serving.keeping import image_address
from include.serving.refusals import RefusedRequestError
from include.serving.service import Feedback, Service
from tests.include.serving.conftest import encode_png

DIGITS_REQUEST = "digits-" + "0" * 32


@pytest.fixture
def service(settings):
    """A service whose threads have not begun, so that nothing but the test moves the plan or the segments."""
    service = Service(settings, threads=2)
    yield service
    service.engine.close()
    service._recorders.close()
    service.plan._holder.close()


@pytest.fixture
def serving(service, make_release, want):
    """A service with one release that favours 7."""
    want(make_release(7))
    service.plan.reconcile()
    return service


def predict(service, *images, project="digits", key=None):
    """Ask for all images at once, each in a request of its own; a lone one's answer comes alone."""

    async def ask(image):
        (answer,) = await service.predict(project, [image], key, time.perf_counter())
        if isinstance(answer, RefusedRequestError):
            raise answer
        return answer

    async def ask_all():
        return await asyncio.gather(*map(ask, images))

    answers = asyncio.run(ask_all())
    return answers[0] if len(images) == 1 else answers


def accept(service, request_id, label="4"):
    return asyncio.run(service.accept(Feedback(request_id=request_id, label=label)))


def refuse(work, *arguments, **options):
    with pytest.raises(RefusedRequestError) as raised:
        work(*arguments, **options)
    return raised.value.status, raised.value.refusal


def test_an_answer_is_on_disk_before_anybody_sees_it(serving, png, spill):
    answers = [predict(serving, png) for _ in range(2)]
    rows = spill()
    assert [row["request_id"] for row in rows] == [answer.request_id for answer in answers]
    assert answers[0].request_id != answers[1].request_id
    assert set(rows[0]) == {*PREDICTIONS.names, "kind"}
    assert rows[0]["probabilities"] == list(answers[0].probabilities.values())
    assert answers[0].predicted == "7"
    assert answers[0].confidence == max(answers[0].probabilities.values())
    assert (rows[0]["width"], rows[0]["height"]) == (32, 32)
    assert (rows[0]["format"], rows[0]["bytes"]) == ("PNG", len(png))
    assert 0 < rows[0]["latency_ms"] < 30_000


def test_a_row_tells_who_answered_and_by_which_plan(service, make_release, follow, png, spill):
    follow(make_release(1, embedding=True))
    follow(make_release(1, embedding=True), make_release(2, embedding=True), weight=1, sticky=True, rollout=3)
    service.plan.reconcile()
    answer = predict(service, png, key="customer 12")
    assert (answer.variant, answer.answered_by, answer.revision, answer.predicted) == ("candidate", "candidate", 2, "2")
    (row,) = spill()
    assert (row["variant"], row["answered_by"], row["revision"], row["failed"]) == ("candidate", "candidate", 2, None)
    assert row["embedding"] == pytest.approx([90 / 255])
    assert len(row["key"]) == 32
    assert "customer" not in str(row)
    assert row["image"] is None


@pytest.mark.parametrize(
    ("failing", "baseline", "by"),
    [
        pytest.param((2,), True, "champion", id="candidate"),
        pytest.param((2, 1), True, "previous", id="candidate and champion"),
        pytest.param((2, 1, 3), True, "baseline", id="every model"),
        pytest.param((2, 1, 3), False, "abstain", id="every model, without a baseline"),
    ],
)
def test_a_client_never_sees_a_failure_but_the_log_does(
    service, make_release, follow, png, spill, failing, baseline, by
):
    champion, candidate, previous = (
        make_release(version, fails_above=80 if version in failing else None) for version in (1, 2, 3)
    )
    recording = RecordingPolicy(baseline=baseline)
    follow(champion, candidate, previous=previous, weight=1, recording=recording)
    service.plan.reconcile()
    answer = predict(service, png)
    assert (answer.variant, answer.answered_by) == ("candidate", by)
    expected = {"champion": "1", "previous": "3", "baseline": "1", "abstain": None}[by]
    assert answer.predicted == expected
    assert answer.release == (previous if by == "previous" else champion).digest
    assert (answer.confidence is None) == (by == "abstain")
    (row,) = spill()
    assert row["failed"].startswith("candidate: release sha256:")
    assert row["predicted"] == expected
    assert [row["answered_by"], row["release"]] == [answer.answered_by, answer.release]


def test_one_bad_image_of_a_batch_costs_the_others_nothing(service, make_release, follow):
    follow(make_release(1, fails_above=80))
    service.plan.reconcile()
    images = [encode_png(np.full((32, 32, 3), grey, np.uint8)) for grey in (10, 20, 200, 30)]
    answers = predict(service, *images)
    assert [answer.answered_by for answer in answers] == ["champion", "champion", "baseline", "champion"]


def test_embeddings_are_not_kept_where_the_project_does_not_want_them(service, make_release, follow, png, spill):
    follow(make_release(1, embedding=True), recording=RecordingPolicy(embeddings=False))
    service.plan.reconcile()
    predict(service, png)
    assert spill()[0]["embedding"] is None


def test_an_answer_that_is_withheld_is_in_the_log_and_not_in_the_response(service, make_release, follow, spill):
    usual = list(np.linspace(80, 100, 40))
    follow(make_release(1, embedding=True, usual=usual), recording=RecordingPolicy(max_ood=1.0))
    service.plan.reconcile()
    odd, plain = (encode_png(np.full((32, 32, 3), grey, np.uint8)) for grey in (250, 90))
    withheld, told = predict(service, odd), predict(service, plain)
    assert (withheld.answered_by, withheld.predicted, withheld.probabilities) == ("abstain", None, {})
    assert "unlike those the model was certified on" in withheld.reason
    assert (told.answered_by, told.predicted, told.reason) == ("champion", "1", None)
    first, second = spill()
    assert (first["answered_by"], first["predicted"], first["failed"]) == ("abstain", "1", None)
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-6)
    assert first["ood"] > 1 > second["ood"]
    assert first["embedding"] == [pytest.approx(250 / 255)]


def test_sampled_images_reach_the_store_under_the_address_in_the_row(service, make_release, follow, png, spill, store):
    follow(make_release(1), recording=RecordingPolicy(image_share=1.0))
    service.plan.reconcile()
    answer = predict(service, png)
    address = image_address("digits", answer.request_id)
    assert spill()[0]["image"] == address
    service.keeper.start()
    service.keeper.stop()
    assert store.read(address) == png


def test_compared_is_what_the_plan_says(service, make_release, follow, png, spill, wait_until):
    follow(make_release(1), make_release(2), shadow=1.0)
    service.plan.reconcile()
    service.comparer.start()
    answer = predict(service, png)
    row = wait_until(lambda: next((row for row in spill() if row["kind"] == "comparisons"), None), "a comparison")
    service.comparer.stop()
    assert (row["request_id"], row["revision"]) == (answer.request_id, 1)
    assert (row["champion_predicted"], row["other_predicted"]) == ("1", "2")
    assert answer.predicted == "1"


def test_decoded_pixels_are_answered_like_the_file(serving, png):
    pixels = np.full((32, 32, 3), 90, np.uint8)
    (answer,) = asyncio.run(serving.predict("digits", [pixels], None, time.perf_counter()))
    assert answer.probabilities == predict(serving, png).probabilities


def test_a_request_keeps_to_the_plan_it_began_with(service, make_release, follow, png):
    """Plans flip, releases and weights with them; every answer is one that some single revision explains."""
    one, two = make_release(1), make_release(2)
    expected = {}
    for revision in range(1, 200):
        if revision % 2:
            expected[revision] = {("champion", one.digest, "1")}
        else:
            expected[revision] = {("champion", two.digest, "2"), ("candidate", one.digest, "1")}
    stop, answers = threading.Event(), []

    def flip():
        revision = 1
        while not stop.is_set():
            revision += 1
            follow(one, previous=two) if revision % 2 else follow(two, one, weight=0.5, rollout=revision)
            service.plan.reconcile()

    follow(one, previous=two)
    service.plan.reconcile()
    flipper = threading.Thread(target=flip)
    flipper.start()
    deadline = time.monotonic() + 30
    while len({answer.revision for answer in answers}) < 6 and time.monotonic() < deadline:
        answers += predict(service, *[png] * 8)
    stop.set()
    flipper.join()
    assert len({answer.revision for answer in answers}) >= 6
    for answer in answers:
        assert answer.answered_by == answer.variant
        assert (answer.variant, answer.release, answer.predicted) in expected[answer.revision]


def test_a_label_finds_its_project_by_the_request_alone(serving, make_release, want, png, spill):
    want(make_release(2, name="defects"))
    serving.plan.reconcile()
    accept(serving, predict(serving, png, project="defects").request_id)
    told = spill()[-1]
    assert (told["kind"], told["project"], told["label"]) == ("feedback", "defects", "4")


@pytest.mark.parametrize(
    "request_id",
    ["", "0" * 32, DIGITS_REQUEST[:-1], f"{DIGITS_REQUEST}\n", DIGITS_REQUEST.upper(), f"../{DIGITS_REQUEST}"],
)
def test_what_this_service_never_answered_cannot_be_labelled(serving, spill, request_id):
    status, refusal = refuse(accept, serving, request_id)
    assert (status, refusal.error) == (422, "bad_request_id")
    assert spill() == []


def test_a_label_that_is_no_class_is_refused_with_the_classes(serving, spill):
    status, refusal = refuse(accept, serving, DIGITS_REQUEST, "four")
    assert (status, refusal.error) == (422, "unknown_label")
    assert refusal.remedy == "use one of: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert spill() == []


def test_one_project_need_not_be_named_and_of_two_one_must(serving, make_release, want):
    assert serving.find_live(None) is serving.plan.find_live("digits")
    want(make_release(2, name="defects"))
    serving.plan.reconcile()
    status, refusal = refuse(serving.find_live, None)
    assert (status, refusal.error) == (400, "project_missing")
    assert "defects, digits" in refusal.reason


def test_a_project_without_a_release_is_told_from_one_that_does_not_exist(service, ledger):
    status, refusal = refuse(service.find_live, "digits")
    assert (status, refusal.error, refusal.reason) == (503, "no_release", "digits has no release in service yet")
    status, refusal = refuse(service.find_live, "x" * 1000)
    assert (status, refusal.error) == (404, "unknown_project")
    assert len(refusal.reason) < 120
    assert "digits" in refusal.remedy
    assert refuse(service.find_live, None)[1].error == "no_release"


def test_why_the_only_release_is_not_in_service_is_told(service, make_release, want):
    want(make_release(1, answers=np.eye(10)[5]))
    service.plan.reconcile()
    status, refusal = refuse(service.find_live, "digits")
    assert (status, refusal.error) == (503, "no_release")
    assert "golden/000.png" in refusal.reason


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (b"x" * 51, "too_large_bytes"), (b"x", "not_an_image")])
def test_a_release_takes_only_images_within_its_own_limits(service, make_release, want, spill, data, reason):
    want(make_release(max_bytes=50))
    service.plan.reconcile()
    assert refuse(predict, service, data)[1].error == reason
    assert spill() == []


def test_what_cannot_be_recorded_is_not_answered(serving, png, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(serving.recorder, "append", fail)
    for work, *arguments in ((predict, serving, png), (accept, serving, DIGITS_REQUEST)):
        status, refusal = refuse(work, *arguments)
        assert (status, refusal.error) == (503, "not_recorded")
        assert "No space left" in refusal.reason


def test_an_orderly_life_leaves_nothing_behind(settings, make_release, want, png, store, wait_until, ledger):
    want(make_release(7))
    service = Service(settings, threads=2, name="serving-1")
    service.start()
    wait_until(lambda: service.plan.find_live("digits"), "a live release")
    answer = predict(service, png)
    service.stop()
    logged = read_predictions(store, "digits", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert logged["request_id"].to_pylist() == [answer.request_id]
    heir = Service(settings, threads=2, name="serving-1")
    heir.start()
    assert heir.plan.find_live("digits") is not None
    heir.stop()


def test_a_store_that_is_away_costs_no_answer_and_no_row(
    settings, make_release, follow, png, store, wait_until, tmp_path
):
    follow(make_release(7), recording=RecordingPolicy(image_share=1.0))
    first = Service(settings, threads=2, name="serving-1")
    first.start()
    wait_until(lambda: first.plan.find_live("digits"), "a live release")
    folder, aside = store.path(""), tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("a file where the store should be")
    answers = [predict(first, png)]
    first.stop()
    heir = Service(settings, threads=2, name="serving-1")
    heir.start()
    answers.append(predict(heir, png))
    assert heir.recorder.count_segments() > 0
    folder.unlink()
    aside.rename(folder)
    heir.stop()
    logged = read_predictions(store, "digits", datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert logged["request_id"].to_pylist() == [answer.request_id for answer in answers]
    assert [store.read(address) for address in logged["image"].to_pylist()] == [png, png]


def test_the_images_of_one_request_are_answered_in_their_order_and_each_for_itself(serving, png, spill):
    grey = np.full((8, 8, 3), 90, np.uint8)
    items = [png, b"no image", grey, png]
    answers = asyncio.run(serving.predict("digits", items, None, time.perf_counter()))
    assert [isinstance(answer, RefusedRequestError) for answer in answers] == [False, True, False, False]
    first, refused, pixels, last = answers
    assert refused.status == 422
    assert len({first.request_id, pixels.request_id, last.request_id}) == 3
    assert [row["request_id"] for row in spill()] == [first.request_id, pixels.request_id, last.request_id]
    assert asyncio.run(serving.predict("digits", [], None, time.perf_counter())) == []


def test_of_one_request_all_answers_are_recorded_or_none_is_given(serving, png, spill, monkeypatch):
    write = os.write
    monkeypatch.setattr("include.serving.recorder.os.write", lambda file, lines: write(file, lines[:-1]))
    answers = asyncio.run(serving.predict("digits", [png, png], None, time.perf_counter()))
    assert [answer.refusal.error for answer in answers] == ["not_recorded"] * 2
    assert spill() == []
