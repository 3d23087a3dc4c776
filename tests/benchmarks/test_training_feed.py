"""Every place feeds whole epochs; how fast each is, no test asserts."""

from benchmarks.training_feed import main


def test_trains_from_every_place(capsys):
    results = main(["--small", "12", "--large", "4", "--epochs", "1", "--rounds", "2"])
    assert all(set(result) == {"memory", "kept", "not kept"} for result in results)
    assert all(value > 0 for result in results for value in result.values())
    assert "| 12 x 64² |" in capsys.readouterr().out
