"""What is going on in a project, in sentences: the first thing its page says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Literal

from windhover.ui.attention import LOOKED, find_neglect, find_silence, find_unmeasured
from windhover.ui.overview import UNREADABLE

if TYPE_CHECKING:
    from datetime import datetime

    from include.contracts import PerformanceReport
    from windhover.ui.overview import Overview

Tone = Literal["good", "busy", "look", "act"]
# The worst first.
HEADLINES: dict[Tone, str] = {
    "act": "Somebody is needed now",
    "look": "Worth a look",
    "busy": "At work",
    "good": "All is well",
}


@dataclass(frozen=True)
class Sentence:
    """One thing that is so.

    :ivar tone: How much it matters.
    """

    tone: Tone
    text: str


def tell_story(view: "Overview") -> list[Sentence]:
    """Say what serves, how well, what differs, and what waits; what matters most comes first."""
    sentences: list[Sentence] = []
    for tell in (
        _tell_service, _tell_processes, _tell_watcher, _tell_neglect, _tell_accuracy, _tell_drift, _tell_objectives,
        _tell_incidents,
    ):  # fmt: skip
        sentences += _listen(tell, view)
    tones = list(HEADLINES)
    return sorted(sentences, key=lambda one: tones.index(one.tone))


def judge_story(sentences: list[Sentence]) -> Tone:
    """Return the tone of what matters most."""
    tones = {one.tone for one in sentences}
    return next((tone for tone in HEADLINES if tone in tones), "good")


def _listen(tell: "Callable[[Overview], Iterator[Sentence]]", view: "Overview") -> list[Sentence]:
    try:
        return list(tell(view))
    except UNREADABLE as error:
        return [Sentence("look", f"Not known: {error}")]


def _tell_service(view: "Overview") -> Iterator[Sentence]:
    now = view.service.now
    if now is None or now.plan is None:
        yield Sentence("busy", "Nothing is in service yet.")
        return
    plan = now.plan
    if plan.candidate is None:
        yield Sentence("good", f"Version {plan.champion.model.version} answers every request.")
        return
    share = f"{100 * plan.weight:g} % of the requests" if plan.weight else "no request yet"
    yield Sentence(
        "busy",
        f"Version {plan.candidate.model.version} is on trial and answers {share}; "
        f"version {plan.champion.model.version} answers the rest.",
    )


def _tell_processes(view: "Overview") -> Iterator[Sentence]:
    plan = view.service.now
    if plan is None:
        return
    alive = view.service.replicas
    if not alive:
        yield Sentence("act", "No serving process reports.")
    elif lagging := [one.name for one in alive if one.revisions.get(view.project.name) != plan.revision]:
        yield Sentence("look", f"{', '.join(lagging)} of {len(alive)} serving processes do not follow the plan.")


def _tell_watcher(view: "Overview") -> Iterator[Sentence]:
    if last := find_silence(view):
        text = f"The watcher has not been heard of since {_say(last, view)}: nobody is told of trouble. Does it run?"
        yield Sentence("look", text)


def _tell_neglect(view: "Overview") -> Iterator[Sentence]:
    if since := find_neglect(view):
        text = f"Nobody has looked at live images since {_say(since, view)}; is monitor_model paused, or does it fail?"
        yield Sentence("look", text)


def _tell_accuracy(view: "Overview") -> Iterator[Sentence]:
    reports = view.of_champion(view.performances)
    measured = next((one for one in reversed(reports) if one.accuracy is not None), None)
    if measured is None or measured.accuracy is None:
        yield from _tell_estimate(view, reports)
        return
    certified = "" if measured.certified is None else f", certified with {100 * measured.certified:.1f} %"
    text = f"{100 * measured.accuracy:.1f} % right among {measured.labelled} labelled answers{certified}."
    tone, doubt = _judge_accuracy(view, measured, reports)
    yield Sentence(tone, text + doubt)
    if measured.concept:
        yield Sentence("look", "The labels moved where the images did not: what the classes mean has changed.")
    for gap in measured.unfair:
        yield Sentence("look", gap)


def _judge_accuracy(
    view: "Overview", measured: "PerformanceReport", reports: "list[PerformanceReport]"
) -> tuple[Tone, str]:
    """Return how much it matters, and what keeps it from being judged."""
    if measured.verdict != "insufficient":
        return "look" if measured.verdict == "degraded" else "good", ""
    if measured.labelled < view.project.monitoring.performance.min_labels:
        return "busy", " Too few labels to judge by."
    # Labels that came late are weighed with a later window.
    if any(one.limit for one in reports if one.end >= measured.end):
        return "good", ""
    return "busy", " No certificate was there to judge it by."


def _tell_estimate(view: "Overview", reports: "list[PerformanceReport]") -> Iterator[Sentence]:
    plan = view.service.now and view.service.now.plan
    if plan is None:
        return
    estimate = reports[-1].estimate if reports else None
    guess = "" if estimate is None else f": {100 * estimate:.1f} % by an estimate"
    yield Sentence("busy", f"How often version {plan.champion.model.version} is right, no label has told yet{guess}.")


def _tell_drift(view: "Overview") -> Iterator[Sentence]:
    episode = view.episode
    if episode is None:
        last = next(reversed(view.of_champion(view.drifts)), None)
        if last and last.verdict == "stable":
            yield _tell_likeness(last.end, view)
        return
    what = episode.diagnosis.name if episode.diagnosis else "not diagnosed yet"
    answer = episode.decision.action.replace("_", " ") if episode.decision else "not decided yet"
    seen = f"{episode.windows} window{'s' if episode.windows != 1 else ''}"
    since = _say(episode.opened_at, view)
    yield Sentence("look", f"{episode.trigger.capitalize()} since {since}, {seen}: {what}. Answer: {answer}.")


def _tell_likeness(end: "datetime", view: "Overview") -> Sentence:
    if view.now - end <= LOOKED:
        return Sentence("good", "Live images look like those the model was certified on.")
    # Windows with too few predictions say nothing, and neither does nobody.
    text = f"Until {_say(end, view)} live images looked like those the model was certified on; nothing since can tell."
    return Sentence("busy", text)


def _tell_objectives(view: "Overview") -> Iterator[Sentence]:
    for one in view.objectives:
        if one.verdict in {"burning", "exhausted"}:
            yield Sentence("act" if one.verdict == "exhausted" else "look", one.summary)
    if last := find_unmeasured(view):
        yield Sentence("look", f"Objectives were last measured at {_say(last, view)}; what is said of them is old.")


def _tell_incidents(view: "Overview") -> Iterator[Sentence]:
    if not view.troubles:
        yield Sentence("good", "No incident is open.")
        return
    worst, count = view.troubles[0], len(view.troubles)
    unseen = worst.state == "open" and worst.severity in {"critical", "major"}
    more = f", and {count - 1} more" if count > 1 else ""
    yield Sentence("act" if unseen else "look", f"{worst.severity.capitalize()} incident: {worst.title}{more}.")


def _say(moment: "datetime", view: "Overview") -> str:
    at = moment.astimezone(UTC)
    return f"{at:%H:%M} UTC" if at.date() == view.now.date() else f"{at:%b %d, %H:%M} UTC"
