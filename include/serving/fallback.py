"""Who answers when a model fails: champion, previous, baseline, nobody."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from include.contracts import Variant
from include.serving.model import Output, ServedModel
from include.serving.plan import LivePlan
from include.serving.routing import Turn

logger = logging.getLogger(__name__)

FAILURE_CHARACTERS = 300


class Answer(NamedTuple):
    """What an image was answered with, and by whom."""

    answered_by: Variant
    model: ServedModel  # whose classes the output is about
    output: Output | None  # None: abstained
    failed: str | None  # why it was not the one whose turn it was
    withheld: Output | None = None  # what the model says of an image that is too odd to tell

    @property
    def silence(self) -> str | None:
        """Why nobody answers; None where somebody does."""
        if self.withheld:
            return f"the image is unlike those the model was certified on: its score is {self.withheld.ood:.3g}"
        return None if self.output else "no model could answer"


async def find_answer(live: LivePlan, turn: Turn, ask: Callable[[ServedModel], Awaitable[Output]]) -> Answer:
    """Ask the model whose turn it is, and where it fails the next one, until somebody answers.

    An image that is odder than the plan's `max_ood` is no failure, and no case for another model: nobody answers.

    The last but one is the baseline: the shares of the champion's classes, which nothing can fail at. A plan without
    it abstains instead, and leaves what to do with the image to people.

    :param ask: Runs a model on the image of the request; whatever it raises is a failure of the model.
    """
    failures: list[str] = []
    for variant, model in _chain(live, turn):
        try:
            output = await ask(model)
        except Exception as error:
            # The log of predictions tells it of every request; this one would drown in it.
            logger.debug("%s fails", variant, exc_info=True)
            failures.append(f"{variant}: {error or type(error).__name__}"[:FAILURE_CHARACTERS])
            continue
        if _is_too_odd(live, output):
            return Answer("abstain", model, None, _join(failures), withheld=output)
        return Answer(variant, model, output, _join(failures))
    if live.plan.recording.baseline:
        return Answer("baseline", live.champion, Output(live.champion.shares, None), _join(failures))
    return Answer("abstain", live.champion, None, _join(failures))


def _chain(live: LivePlan, turn: Turn) -> Iterator[tuple[Variant, ServedModel]]:
    if turn == "candidate" and live.candidate:
        yield "candidate", live.candidate
    yield "champion", live.champion
    if live.previous:
        yield "previous", live.previous


def _is_too_odd(live: LivePlan, output: Output) -> bool:
    limit = live.plan.recording.max_ood
    return limit is not None and output.ood is not None and output.ood > limit


def _join(failures: list[str]) -> str | None:
    return "; ".join(failures) or None
