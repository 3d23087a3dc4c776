from statistics import median

from benchmarks.tuning_search import PLANTED, measure, score


def test_the_planted_settings_are_the_best():
    assert score(PLANTED) == 1
    assert score(PLANTED | {"dropout": 0.3}) < 1


def test_tpe_beats_random():
    found = measure(seeds=5, trials=30)
    assert median(found["tpe"]) > median(found["random"])
