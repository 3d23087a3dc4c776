from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.contracts import ActionDecision, DiagnosisReport, DriftReport, FeatureDriftReport, PerformanceReport
from include.errors import ArtifactNotFoundError
from include.ledger import Ledger
from include.ledger.episodes import (
    answer_episode,
    calm_episode,
    close_answered_episode,
    close_episodes,
    close_missed_episode,
    find_episode,
    find_open_episode,
    find_unclosed_episode,
    list_episodes,
    name_incident,
    open_episode,
    record_action,
    record_diagnosis,
    release_episode,
)
from include.ledger.incidents import find_incident, open_incident
from include.ledger.tables import audit_entries

MakeDrift = Callable[..., DriftReport]
DIAGNOSIS = {"project": "digits", "cause": "camera_fault", "name": "camera: blurred lens", "evidence": ("sharpness",)}
DECISION = {"project": "digits", "cause": "camera_fault", "action": "fix_source", "reasons": ("policy",)}


@pytest.fixture
def make_hour(make_drift: MakeDrift) -> MakeDrift:
    """Give a function that makes the drift report of an hour, counted from the first."""

    def make(hour: int, **values) -> DriftReport:
        first = make_drift()
        moved = {"start": first.start + timedelta(hours=hour), "end": first.end + timedelta(hours=hour)}
        return make_drift(**values).model_copy(update=moved)

    return make


def perform(drift: DriftReport, verdict: str = "degraded") -> PerformanceReport:
    window = {"project": drift.project, "start": drift.start, "end": drift.end}
    return PerformanceReport(**window, predictions=90, labelled=90, verdict=verdict, summary="worse")


def test_many_windows_at_once_open_one_episode(ledger: Ledger, make_hour: MakeDrift):
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda hour: open_episode(ledger, make_hour(hour)), range(8)))
    assert len(numbers) == 1
    assert find_episode(ledger, numbers.pop()).windows == 8


def test_the_first_window_names_it_and_a_window_counts_once(ledger: Ledger, make_hour: MakeDrift):
    first = make_hour(0, summary="first")
    number = open_episode(ledger, first)
    open_episode(ledger, make_hour(1, summary="second"))
    open_episode(ledger, make_hour(1, summary="second, again"))
    open_episode(ledger, perform(make_hour(1)))
    found = find_open_episode(ledger, "digits")
    assert (found.id, found.drift, found.trigger, found.windows) == (number, first, "drift", 2)
    assert found.performance == perform(make_hour(1))
    assert find_open_episode(ledger, "parts") is None


def test_worse_answers_open_an_episode_of_their_own_kind(ledger: Ledger, make_hour: MakeDrift):
    open_episode(ledger, perform(make_hour(0)))
    found = find_open_episode(ledger, "digits")
    assert (found.trigger, found.drift, found.windows) == ("degradation", None, 1)


def test_stable_windows_in_a_row_end_it(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    key = {"key": name_incident(number), "impact": "medium", "urgency": "high", "runbook": "docs/runbook.md"}
    incident = open_incident(ledger, "digits", kind="drift", title="fix the lens", **key)
    assert [calm_episode(ledger, make_hour(hour), needed=2) for hour in (1, 1)] == [None, None]
    open_episode(ledger, make_hour(2))
    assert [calm_episode(ledger, make_hour(hour), needed=2) for hour in (3, 4)] == [None, number]
    ended = find_episode(ledger, number)
    assert (ended.state, ended.outcome, ended.windows) == ("closed", "2 stable windows in a row: it passed", 2)
    assert ended.closed_at >= ended.opened_at
    assert find_incident(ledger, incident).state == "resolved"
    assert calm_episode(ledger, make_hour(5), needed=1) is None


def test_what_does_not_speak_for_health_neither_confirms_nor_calms(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    hours = [make_hour(hour) for hour in range(1, 6)]
    feature = {"feature": "noise", "method": "m", "p_value": 1, "threshold": 0, "drifted": False, "residue": 1.0}
    doubt = {"features": (FeatureDriftReport(**feature),)}
    doubtful = [hour.model_copy(update=doubt) for hour in hours[:3]]
    assert [calm_episode(ledger, hour, needed=2) for hour in doubtful] == [None] * 3
    assert find_episode(ledger, number).windows == 1
    assert [calm_episode(ledger, hour, needed=2) for hour in hours[3:]] == [None, number]


def test_stable_images_say_nothing_about_worse_answers(ledger: Ledger, make_hour: MakeDrift):
    open_episode(ledger, perform(make_hour(0)))
    assert calm_episode(ledger, make_hour(1), needed=1) is None
    assert calm_episode(ledger, perform(make_hour(1), "stable"), needed=1) is not None


def test_an_answered_episode_is_confirmed_but_not_reopened(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    assert answer_episode(ledger, number, "run 1")
    assert find_open_episode(ledger, "digits") is None
    assert open_episode(ledger, make_hour(1)) == number
    assert find_unclosed_episode(ledger, "digits").state == "requested"


def test_only_the_run_that_answered_may_answer_again(ledger: Ledger, make_drift: MakeDrift):
    number = open_episode(ledger, make_drift())
    assert answer_episode(ledger, number, "run 1")
    assert answer_episode(ledger, number, "run 1")
    assert not answer_episode(ledger, number, "run 2")
    assert not answer_episode(ledger, number + 1, "run 1")


def test_a_closed_episode_makes_room_for_a_new_one(ledger: Ledger, make_drift: MakeDrift, make_hour: MakeDrift):
    first = open_episode(ledger, make_drift())
    other = open_episode(ledger, make_drift(project="parts"))
    close_answered_episode(ledger, "digits")
    assert find_open_episode(ledger, "digits").id == first
    close_episodes(ledger, "digits")
    close_episodes(ledger, "digits")
    assert not answer_episode(ledger, first, "run 1")
    assert find_unclosed_episode(ledger, "digits") is None
    assert find_open_episode(ledger, "parts").id == other
    assert open_episode(ledger, make_drift()) == first
    assert find_unclosed_episode(ledger, "digits") is None
    assert open_episode(ledger, make_hour(1)) > first
    assert [one.id for one in list_episodes(ledger, "digits", 5)][1:] == [first]
    assert find_episode(ledger, first).outcome == "a new model serves"


def count_overrides(ledger: Ledger) -> int:
    with ledger.begin() as connection:
        return len(connection.execute(sa.select(audit_entries).where(audit_entries.c.kind == "override")).all())


def test_what_a_person_chooses_is_audited_once_and_answered_anew(ledger: Ledger, make_drift: MakeDrift):
    number = open_episode(ledger, make_drift())
    record_diagnosis(ledger, DiagnosisReport(**DIAGNOSIS, episode=number, scores={"camera_fault": 1.0}))
    record_action(ledger, ActionDecision(**DECISION, episode=number))
    answer_episode(ledger, number, "run 1")
    assert count_overrides(ledger) == 0
    chosen = ActionDecision(**DECISION | {"action": "retrain"}, episode=number, overridden_by="ada")
    record_action(ledger, chosen)
    assert answer_episode(ledger, number, "run 2")
    record_action(ledger, chosen)
    assert count_overrides(ledger) == 1
    found = find_unclosed_episode(ledger, "digits")
    assert (found.diagnosis.name, found.decision, found.state) == ("camera: blurred lens", chosen, "requested")


@pytest.mark.parametrize(
    ("action", "state"), [("retrain", "closed"), ("fix_source", "requested"), ("ignore", "requested")]
)
def test_a_rejected_candidate_ends_no_episode_that_no_training_answers(
    ledger: Ledger, make_drift: MakeDrift, action: str, state: str
):
    number = open_episode(ledger, make_drift())
    record_diagnosis(ledger, DiagnosisReport(**DIAGNOSIS, episode=number, scores={"camera_fault": 1.0}))
    record_action(ledger, ActionDecision(**DECISION | {"action": action}, episode=number))
    answer_episode(ledger, number, "run 1")
    close_answered_episode(ledger, "digits")
    assert find_episode(ledger, number).state == state


def answer_by(ledger: Ledger, number: int, action: str, run: str = "run 1") -> None:
    record_action(ledger, ActionDecision(**DECISION | {"action": action}, episode=number))
    assert answer_episode(ledger, number, run)


@pytest.mark.parametrize("action", ["ignore", "relabel", "recalibrate", "fix_source"])
def test_worse_answers_take_back_an_answer_without_a_training_once(ledger: Ledger, make_hour: MakeDrift, action: str):
    number = open_episode(ledger, make_hour(0))
    answer_by(ledger, number, action)
    assert open_episode(ledger, make_hour(1)) == number
    assert find_open_episode(ledger, "digits") is None
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: open_episode(ledger, perform(make_hour(48))), range(4))) == {number}
    found = find_open_episode(ledger, "digits")
    assert (found.id, found.trigger, found.decision, found.performance) == (
        number,
        "drift",
        None,
        perform(make_hour(48)),
    )
    answer_by(ledger, number, action, "run 2")
    open_episode(ledger, perform(make_hour(49)))
    assert find_open_episode(ledger, "digits") is None


def test_worse_answers_do_not_ask_again_for_a_training_that_is_on_its_way(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    answer_by(ledger, number, "retrain")
    open_episode(ledger, perform(make_hour(1)))
    open_episode(ledger, perform(make_hour(1), "stable"), missed=True)
    found = find_episode(ledger, number)
    assert (found.state, found.decision.action, found.trigger) == ("requested", "retrain", "objective")


def test_what_was_known_to_be_worse_when_it_was_answered_stays_answered(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    open_episode(ledger, perform(make_hour(0)))
    answer_by(ledger, number, "fix_source")
    open_episode(ledger, perform(make_hour(1)))
    assert find_episode(ledger, number).state == "requested"


def test_a_run_gives_back_only_what_it_has_claimed(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, make_hour(0))
    answer_by(ledger, number, "relabel")
    open_episode(ledger, perform(make_hour(1)))
    answer_by(ledger, number, "retrain", "run 2")
    release_episode(ledger, number, "run 1")
    assert find_episode(ledger, number).state == "requested"
    release_episode(ledger, number, "run 2")
    assert find_episode(ledger, number).state == "open"


def test_a_missed_objective_outlasts_stable_windows_until_it_is_kept_again(ledger: Ledger, make_hour: MakeDrift):
    number = open_episode(ledger, perform(make_hour(0), "stable"), missed=True)
    for hour in range(1, 5):
        assert calm_episode(ledger, perform(make_hour(hour), "stable"), needed=1) is None
        assert calm_episode(ledger, make_hour(hour), needed=1) is None
    assert find_open_episode(ledger, "digits").trigger == "objective"
    close_missed_episode(ledger, "digits", "kept again")
    assert (find_episode(ledger, number).state, find_episode(ledger, number).outcome) == ("closed", "kept again")
    assert open_episode(ledger, perform(make_hour(0), "stable"), missed=True) == number
    open_episode(ledger, make_hour(9))
    close_missed_episode(ledger, "digits", "kept again")
    assert find_open_episode(ledger, "digits").trigger == "drift"


def test_a_missed_objective_asks_again_whatever_was_answered_without_a_training(ledger: Ledger, make_hour: MakeDrift):
    """Also for a window that another episode, which is over, has seen."""
    seen = perform(make_hour(0))
    over = open_episode(ledger, seen)
    close_episodes(ledger, "digits")
    number = open_episode(ledger, make_hour(1))
    answer_by(ledger, number, "ignore")
    for run in ("run 2", "run 3"):
        assert open_episode(ledger, seen, missed=True) == number > over
        found = find_episode(ledger, number)
        assert (found.trigger, found.state) == ("objective", "open" if run == "run 2" else "requested")
        answer_by(ledger, number, "fix_source", run) if run == "run 2" else None


def test_an_unknown_number_is_said(ledger: Ledger):
    with pytest.raises(ArtifactNotFoundError, match="no episode 7"):
        find_episode(ledger, 7)
