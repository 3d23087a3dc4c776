"""A small storm keeps every promise; a long one a person asks of the script."""

from benchmarks.drift_storm import main


def test_a_storm_of_drift_with_kills_asks_once_per_episode(ledger, ledger_uri):
    findings = main(["--events", "40", "--processes", "2", "--kills", "2", "--ledger", ledger_uri])
    assert [one for one in findings if not one.kept] == []
    assert findings[0].found > 1
