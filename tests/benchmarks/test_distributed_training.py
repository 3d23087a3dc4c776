"""Two processes and one are compared; how quick they are, no test asserts."""

from benchmarks.distributed_training import TOLERANCE, main


def test_compares_the_curves(capsys):
    found = main(["--epochs", "2", "--images", "60", "--side", "32", "--rounds", "1"])
    assert found.train_loss < TOLERANCE
    assert found.validation_loss < TOLERANCE
    assert found.ratio > 0
    assert "| train loss |" in capsys.readouterr().out
