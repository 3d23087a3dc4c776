"""A short backfill, shuffled, overlapping and killed, ends as the sequential run does."""

from benchmarks.backfill_kill import main


def test_a_backfill_with_kills_ends_as_the_sequential_run(ledger, ledger_uri, capsys):
    findings = main(["--days", "5", "--kills", "3", "--together", "2", "--images", "6", "--ledger", ledger_uri])
    assert findings.failures == []
    assert findings.kills == 3
    assert findings.same_digest
    assert findings.same_rows
    assert (findings.lost, findings.doubled, findings.days_missing) == (0, 0, 0)
    assert not findings.members_wrong
    assert "that of the sequential run" in capsys.readouterr().out
