import pytest

from include.contracts import MetricReport, RolloutReport
from include.deployment.notes import notes_address, write_release_notes
from include.errors import NotCertifiedError
from include.ledger.rollouts import advance_rollout, complete_rollout, record_report, revert_rollout, start_rollout
from tests.rollouts import serve


@pytest.fixture
def write(project, ledger, store):
    """Write the notes of a release after a rollout; give the page and the text."""

    def make(rollout):
        address = write_release_notes(rollout, project, ledger, store)
        assert address == notes_address(rollout.release)
        return store.read(address).decode(), store.read(address.replace("index.html", "notes.md")).decode()

    return make


def test_the_first_release_says_that_nothing_answered_before(make_release, write, ledger):
    rollout = serve(ledger, make_release(1))
    page, text = write(rollout)
    for written in (page, text):
        assert "nothing answered before" in written
        assert "Approved by" in written
        assert "accuracy 0.9 is enough" in written
    assert "There is no release before this one to return to" in page


def test_the_notes_tell_what_changed_how_it_went_and_how_to_undo_it(make_release, write, ledger):
    first, second = make_release(1), make_release(2)
    serve(ledger, first)
    failed = start_rollout(ledger, second, "run-2", "shadow", {})
    revert_rollout(ledger, failed, ["errors harm: 9 of 9"], who="judge", forced=True)
    rollout = start_rollout(ledger, second, "run-3", "canary", {})
    advance_rollout(
        ledger, rollout, 0, lambda plan: plan.model_copy(update={"weight": 0.25}), f"rollout {rollout.id}: 25%"
    )
    metric = MetricReport(metric="errors", verdict="safe", evidence=0.5, limit=800, seen="failed on 0 of 90 requests")
    record_report(ledger, RolloutReport(rollout=rollout, verdict="promote", metrics=(metric,), reasons=("safe",)))
    complete_rollout(ledger, rollout)
    page, text = write(rollout)
    for written in (page, text):
        assert f"rollout {rollout.id}: 25%" in written
        assert f"rollout {rollout.id} is complete" in written
        assert "failed on 0 of 90 requests" in written
        assert "errors harm: 9 of 9" in written
        assert "include.cli rollback --project digits" in written
        assert "digits.switch_release" in written
    assert "Version 1 answers again within seconds" in page
    assert "- model version: 1 → 2\n- dataset version: unchanged: 1\n" in text
    assert write(rollout) == (page, text)


def test_nothing_that_somebody_wrote_becomes_markup(make_release, write, ledger):
    first, second = make_release(1), make_release(2)
    serve(ledger, first)
    rollout = start_rollout(ledger, second, "run-2", "canary", {})
    revert_rollout(ledger, rollout, ["<script>alert(1)</script>"], who="judge", forced=True)
    page, text = write(rollout)
    assert "<script>" not in page + text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_release_without_a_certificate_that_holds_has_no_notes(make_release, write, ledger):
    rollout = serve(ledger, make_release(1, spoil_signed=lambda signed: signed.replace(b"0.9", b"1.0")))
    with pytest.raises(NotCertifiedError):
        write(rollout)
