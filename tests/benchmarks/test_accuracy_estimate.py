from benchmarks import accuracy_estimate
from benchmarks.accuracy_estimate import CONCEPT, Window, main
from benchmarks.shifted_digits import HEALTHY, PRIORS
from include.monitoring.estimate import Estimate
from tests.benchmarks.test_ood_scores import look


def test_a_window_knows_how_far_off_it_was():
    window = Window(0.5, Estimate(0.75, 0.25, 1.0), (0.5, 1.0, 0.0))
    assert window.errors == (0.25, 0.0, 0.5, 0.5)
    assert window.is_held
    assert not window._replace(accuracy=0.125).is_held


def test_the_table_tells_of_every_kind(capsys, monkeypatch):
    kinds = (HEALTHY, PRIORS, "brightness 3", CONCEPT)
    for name, value in {"KINDS": kinds, "teach": lambda *_: None, "ask": look}.items():
        monkeypatch.setattr(accuracy_estimate, name, value)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(seeds=1, windows=2) in {True, False}
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in (*kinds, "all but the last"))
