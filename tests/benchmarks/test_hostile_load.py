"""A short attack on a real serving process, and what counts as held."""

from collections import Counter
from dataclasses import replace

from benchmarks import hostile_load
from benchmarks.hostile_load import REQUESTS, Outcome, main


def test_good_requests_are_answered_among_hostile_ones(monkeypatch, capsys):
    monkeypatch.setattr(hostile_load, "PATIENCE", 4.0)
    report = main(["--seconds", "3", "--rate", "20"])
    assert report.survived
    assert sum(report.good.statuses.values()) == sum(report.hostile.statuses.values()) == 60
    assert report.good.statuses["200"] == 60
    assert {status for status in report.hostile.statuses if status.startswith("5")} == set()
    assert len(report.hostile.seconds) == 60
    assert len(REQUESTS) == 10
    assert "| hostile | 60 |" in capsys.readouterr().out
    lost = Outcome(report.good.statuses - Counter({"200": 1}))
    assert not replace(report, memory=hostile_load.MEMORY_GOAL + 1).kept
    assert not replace(report, survived=False).kept
    lost.statuses["429"] += 1
    assert not replace(report, good=lost).kept
