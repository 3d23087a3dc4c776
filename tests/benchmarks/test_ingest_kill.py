"""A few kills at small size find nothing; how many there are, a person asks of the script."""

from benchmarks.ingest_kill import main


def test_killed_and_run_again_nothing_is_lost_doubled_or_half_visible(ledger, ledger_uri, capsys):
    findings = main(["--points", "6", "--images", "6", "--ledger", ledger_uri])
    assert findings.failures == []
    assert findings.kills.total() == 6
    assert {"ingest", "publish"} <= set(findings.kills) <= {"ingest", "validate", "publish"}
    assert findings.looks > 0
    assert (findings.other_digests, findings.lost, findings.doubled) == (0, 0, 0)
    assert (findings.half_visible, findings.members_wrong) == (0, 0)
    assert "kill -9, then run again   6 (" in capsys.readouterr().out
