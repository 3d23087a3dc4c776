from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import ModelRef, ModelVersionRef, PromotionDecision
from include.errors import StaleAttemptError
from include.ledger import Ledger, models
from include.ledger.audit import verify_chain
from include.ledger.datasets import list_reads
from include.ledger.models import (
    find_alias,
    find_candidate,
    find_decision,
    find_model_version,
    move_alias,
    record_candidate,
    record_decision,
    record_model_version,
)
from include.storage import digest_bytes


def test_the_first_candidate_of_a_key_stays(ledger: Ledger, make_model: Callable[..., ModelRef]):
    first = record_candidate(ledger, make_model(run_id="first"))
    assert record_candidate(ledger, make_model(run_id="second")) == first
    assert find_candidate(ledger, first.key) == first
    assert find_candidate(ledger, digest_bytes(b"unknown")) is None


def test_two_attempts_at_once_agree_on_the_candidate(ledger: Ledger, make_model: Callable[..., ModelRef]):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda run: record_candidate(ledger, make_model(run_id=str(run))), range(8)))
    assert len({model.run_id for model in found}) == 1


def test_the_latest_decision_counts(ledger: Ledger, make_decision: Callable[..., PromotionDecision]):
    rejected, promoted = make_decision("reject"), make_decision("promote")
    assert find_decision(ledger, rejected.candidate.model.key) is None
    record_decision(ledger, rejected)
    record_decision(ledger, promoted)
    assert find_decision(ledger, rejected.candidate.model.key) == promoted


def test_a_version_is_found_by_key_and_by_number(ledger: Ledger, make_model: Callable[..., ModelRef]):
    version = ModelVersionRef(model=make_model(), version=3, accuracy=0.9)
    record_model_version(ledger, version)
    record_model_version(ledger, version.model_copy(update={"version": 4}))
    assert find_model_version(ledger, "digits", key=version.model.key) == version
    assert find_model_version(ledger, "digits", version=3) == version
    assert find_model_version(ledger, "digits", version=4) is None
    assert find_model_version(ledger, "parts", version=3) is None


def test_an_alias_moves_by_compare_and_set(ledger: Ledger):
    assert find_alias(ledger, "digits", "champion") is None
    move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")
    move_alias(ledger, "digits", "champion", expected=1, version=2, reason="better")
    with pytest.raises(StaleAttemptError, match="points at version 2, not at 1"):
        move_alias(ledger, "digits", "champion", expected=1, version=3, reason="late")
    assert find_alias(ledger, "digits", "champion") == 2
    assert find_alias(ledger, "digits", "previous") is None


def test_moving_an_alias_again_changes_nothing(ledger: Ledger):
    for _ in range(2):
        move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")
    assert find_alias(ledger, "digits", "champion") == 1


def test_an_alias_may_return(ledger: Ledger):
    for expected, version in ((None, 1), (1, 2), (2, 1)):
        move_alias(ledger, "digits", "champion", expected=expected, version=version, reason="there and back")
    assert find_alias(ledger, "digits", "champion") == 1


def test_an_alias_leaves_a_trail_in_the_same_transaction(ledger: Ledger, store):
    def move(expected, version):
        move_alias(ledger, "digits", "champion", expected=expected, version=version, reason="better", trail="previous")

    move(None, 1)
    assert find_alias(ledger, "digits", "previous") is None
    move(1, 2)
    move(2, 2)
    assert find_alias(ledger, "digits", "previous") == 1
    with pytest.raises(StaleAttemptError):
        move(1, 3)
    assert (find_alias(ledger, "digits", "champion"), find_alias(ledger, "digits", "previous")) == (2, 1)
    moves = [(entry.payload["alias"], entry.payload["version"]) for entry in verify_chain(ledger, "digits", store)[0]]
    assert moves == [("champion", 1), ("previous", 1), ("champion", 2)]


def test_of_two_moves_that_fail_halfway_neither_is_made(ledger: Ledger, monkeypatch):
    move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")

    def fail(*_, **facts):
        if facts["alias"] == "champion":
            raise KeyboardInterrupt

    monkeypatch.setattr(models, "append_entry", fail)
    with pytest.raises(KeyboardInterrupt):
        move_alias(ledger, "digits", "champion", expected=1, version=2, reason="better", trail="previous")
    assert (find_alias(ledger, "digits", "champion"), find_alias(ledger, "digits", "previous")) == (1, None)


def test_of_many_moves_at_once_one_wins(ledger: Ledger):
    def move(version: int) -> int | None:
        try:
            move_alias(ledger, "digits", "champion", expected=None, version=version, reason="race")
        except StaleAttemptError:
            return None
        return version

    with ThreadPoolExecutor(8) as pool:
        won = [version for version in pool.map(move, range(1, 9)) if version]
    assert won == [find_alias(ledger, "digits", "champion")]


def test_a_decision_is_a_read_of_the_dataset_it_was_made_on(ledger, make_decision):
    decision = make_decision()
    for _ in range(2):
        record_decision(ledger, decision)
    ((version, purpose, reader),) = [(one.version, one.purpose, one.reader) for one in list_reads(ledger, "digits")]
    model = decision.candidate.model
    assert (version, purpose, reader) == (model.dataset.version, "evaluate", f"run {model.run_id}")
