"""Every figure is measured; how fast each is, no test asserts."""

from benchmarks.window_profiles import main


def test_measures_images_windows_and_series(capsys):
    found = main(["--predictions", "40", "--days", "2", "--windows", "3", "--rounds", "1"])
    assert len(found) == 6
    assert all(value > 0 for value in found.values())
    assert "| profiling it, s |" in capsys.readouterr().out
