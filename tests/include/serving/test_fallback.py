"""Every link of the chain, failed in every way, with real graphs."""

import asyncio
import itertools

import numpy as np
import pytest

from include.contracts import RecordingPolicy, ReleasePlan
from include.serving.fallback import find_answer
from include.serving.model import load_model
from include.serving.plan import LivePlan

DARK = np.full((32, 32, 3), 90, np.uint8)  # brighter than every golden image, and than 80


@pytest.fixture
def make_live(store, make_release):
    """A plan with its models; those named answer with NaN to every image brighter than 80."""

    def make(*failing: str, candidate: bool = True, previous: bool = True, baseline: bool = True) -> LivePlan:
        held = {"champion": 1, **({"candidate": 2} if candidate else {}), **({"previous": 3} if previous else {})}
        models = {
            name: load_model(store, make_release(version, fails_above=80 if name in failing else None))
            for name, version in held.items()
        }
        releases = {name: model.release for name, model in models.items()}
        plan = ReleasePlan(project="digits", revision=1, recording=RecordingPolicy(baseline=baseline), **releases)
        return LivePlan(plan, models["champion"], models.get("candidate"), models.get("previous"))

    return make


@pytest.fixture
def make_careful(store, make_release):
    """A plan of two releases that were certified on images as bright as `DARK`, give or take a little."""

    def make(limit: float | None) -> LivePlan:
        greys = list(np.linspace(80, 100, 40))
        models = [load_model(store, make_release(version, embedding=True, usual=greys)) for version in (1, 2)]
        recording = RecordingPolicy(max_ood=limit)
        plan = ReleasePlan(
            project="digits", revision=1, champion=models[0].release, previous=models[1].release, recording=recording
        )
        return LivePlan(plan, models[0], None, models[1])

    return make


def ask(live, turn, run=None):
    async def run_model(model):
        return model.run(DARK[None])[0]

    return asyncio.run(find_answer(live, turn, run or run_model))


def expected(turn, failing, baseline):
    chain = ["candidate"] * (turn == "candidate") + ["champion", "previous"]
    answering = [link for link in chain if link not in failing]
    return answering[0] if answering else "baseline" if baseline else "abstain"


EVERY_FAILURE = [
    failing for count in range(4) for failing in itertools.combinations(("champion", "candidate", "previous"), count)
]


@pytest.mark.parametrize("failing", EVERY_FAILURE, ids=lambda failing: "+".join(failing) or "nobody")
def test_the_next_link_answers(make_live, failing):
    live = make_live(*failing)
    for turn in ("champion", "candidate"):
        answer = ask(live, turn)
        by = expected(turn, failing, baseline=True)
        assert answer.answered_by == by
        assert answer.model is (live.champion if by == "baseline" else getattr(live, by))
        assert answer.output.probabilities.sum() == pytest.approx(1)
        assert (answer.failed is None) == (by == turn)


@pytest.mark.parametrize("turn", ["champion", "candidate"])
def test_who_must_not_guess_abstains(make_live, turn):
    live = make_live("champion", "candidate", "previous", baseline=False)
    answer = ask(live, turn)
    assert (answer.answered_by, answer.output, answer.model) == ("abstain", None, live.champion)
    assert "champion: " in answer.failed
    assert ("candidate: " in answer.failed) == (turn == "candidate")


def test_the_baseline_answers_with_the_classes_shares(make_live):
    live = make_live("champion", candidate=False, previous=False)
    answer = ask(live, "champion")
    assert answer.answered_by == "baseline"
    assert answer.output.probabilities.tolist() == live.champion.shares.tolist()
    assert answer.output.embedding is None


@pytest.mark.parametrize(
    "error", [RuntimeError(""), MemoryError(), ZeroDivisionError("x" * 10_000), KeyError("gone"), OSError(28, "full")]
)
def test_whatever_a_model_raises_the_next_one_answers(make_live, error):
    live = make_live()

    async def run(model):
        if model is not live.previous:
            raise error
        return model.run(DARK[None])[0]

    answer = ask(live, "candidate", run)
    assert answer.answered_by == "previous"
    assert answer.failed.startswith("candidate: ")
    assert len(answer.failed) < 700


def test_a_client_that_hangs_up_is_no_failure_of_a_model(make_live):
    live, asked = make_live(), []

    async def run(model):
        asked.append(model)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        ask(live, "candidate", run)
    assert asked == [live.candidate]


def show(grey):
    async def run(model):
        return model.run(np.full((1, 8, 8, 3), grey, np.uint8))[0]

    return run


def test_an_image_unlike_all_others_is_answered_by_nobody(make_careful):
    answer = ask(make_careful(1.0), "champion", show(250))
    assert (answer.answered_by, answer.output, answer.failed) == ("abstain", None, None)
    assert answer.withheld.ood > 1
    assert f"its score is {answer.withheld.ood:.3g}" in answer.silence


def test_an_image_like_the_others_is_answered(make_careful):
    answer = ask(make_careful(1.0), "champion", show(90))
    assert (answer.answered_by, answer.withheld, answer.silence) == ("champion", None, None)
    assert answer.output.ood < 1


@pytest.mark.parametrize("limit", [None, 1e9])
def test_unless_the_project_says_so_nobody_abstains(make_careful, limit):
    answer = ask(make_careful(limit), "champion", show(250))
    assert answer.answered_by == "champion"
    assert answer.output.ood > 1


def test_a_release_that_says_nothing_of_its_images_always_answers(make_live):
    live = make_live()
    strict = live.plan.model_copy(update={"recording": RecordingPolicy(max_ood=1e-6)})
    answer = ask(LivePlan(strict, live.champion, live.candidate, live.previous), "champion")
    assert (answer.answered_by, answer.output.ood) == ("champion", None)


def test_where_no_model_could_answer_it_is_said(make_live):
    assert ask(make_live("champion", "candidate", "previous", baseline=False), "champion").silence
