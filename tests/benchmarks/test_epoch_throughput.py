"""Every reader sees the same images; how fast each is, no test asserts."""

from benchmarks.epoch_throughput import main


def test_every_reader_gives_whole_epochs_of_equal_pixels(capsys):
    results = main(["--small", "70", "--large", "3"])
    assert [result["equal"] for result in results] == [1.0, 1.0]
    assert all(result[name] > 0 for result in results for name in ("first epoch", "ImageFolder", "memory"))
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    assert "70 x 64²" in table[2]
