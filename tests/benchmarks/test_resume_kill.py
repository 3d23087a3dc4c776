"""A few kills at small size find nothing; how many there are, a person asks of the script."""

from benchmarks.resume_kill import main


def test_killed_at_every_epoch_it_ends_in_the_same_weights(capsys):
    findings = main(["--epochs", "2", "--images", "60"])
    assert findings.kills == 4
    assert (findings.other_digests, findings.left_behind, findings.epochs_repeated) == (0, 0, 0)
    assert "kill -9, then go on     4" in capsys.readouterr().out
