import numpy as np

from benchmarks.accuracy_detection import BOUND, CERTIFIED, DECLINES, count_alarms, count_labels, main


def test_hourly_tests_cry_wolf_at_the_bound_where_the_detector_does_not():
    ours, hourly = count_alarms(1 - BOUND, 10, 3)
    assert ours <= 3
    assert hourly > 2


def test_a_steeper_fall_takes_fewer_labels():
    steep, gentle = (np.median(count_labels(accuracy, 10, 5)) for accuracy in (DECLINES[-1], DECLINES[1]))
    assert 5 < steep < gentle


def test_a_healthy_release_never_falls():
    assert np.isinf(count_labels(CERTIFIED, 10, 3)).all()


def test_the_tables_name_every_fall(capsys):
    assert main(streams=1) in {True, False}
    printed = capsys.readouterr().out
    assert all(f"{accuracy:.0%}" in printed for accuracy in DECLINES)
