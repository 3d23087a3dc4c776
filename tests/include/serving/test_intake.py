"""What is let in, in an app of this process."""

import asyncio
import time

import numpy as np
import pytest

import include.serving.intake as intake_module
from include.serving.intake import Intake
from include.serving.metrics import Metrics
from include.serving.refusals import RefusedRequestError
from include.serving.service import Service

GREY = np.full((8, 8, 3), 90, np.uint8)


@pytest.fixture
def ask(settings, make_release, want):
    """Ask about items through an intake of their own."""
    want(make_release(7))
    service = Service(settings, threads=1)
    service.start()
    service.plan.reconcile()

    def answer(*items):
        async def run():
            intake = Intake(service, Metrics())
            return await intake.answer("digits", items, None, time.perf_counter()), intake

        return asyncio.run(run())

    yield answer
    service.stop()


def test_items_keep_their_order_and_their_own_fate(ask, png):
    refusal = RefusedRequestError(422, "not_base64", "no", "yes")
    answers, intake = ask(png, refusal, GREY, b"no image", GREY * 0)
    assert [getattr(answer, "predicted", None) for answer in answers] == ["7", None, "7", None, "7"]
    assert answers[1] is refusal
    assert answers[3].refusal.error == "not_an_image"
    assert answers[0].probabilities == answers[2].probabilities != answers[4].probabilities
    counted = intake.metrics.registry.get_sample_value
    labels = {"project": "digits", "variant": "", "answered_by": "", "status": "422"}
    assert counted("windhover_images_total", labels) == 2


def test_more_than_ever_fits_is_refused_whole_and_nothing_stays_taken(ask, monkeypatch):
    monkeypatch.setattr(intake_module, "MAX_IN_FLIGHT", 3)
    with pytest.raises(RefusedRequestError, match="0 images are being worked on, and 4 more make over 3"):
        ask(GREY, GREY, GREY, GREY)
    answers, intake = ask(GREY, GREY, GREY)
    assert len(answers) == 3
    assert intake.metrics.registry.get_sample_value("windhover_images_in_flight") == 0
