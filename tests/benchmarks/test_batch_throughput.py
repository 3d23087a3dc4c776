"""A batch answers every image; how fast, no test asserts."""

from benchmarks.batch_throughput import Throughput, main


def test_every_image_is_answered_both_ways(capsys):
    (found,) = main(["--networks", "small_cnn", "--images", "150", "--rounds", "1"])
    assert (found.network, found.images) == ("small_cnn", 150)
    assert found.share > 0
    assert "| small_cnn | 150 |" in capsys.readouterr().out


def test_the_share_is_that_of_a_usual_round():
    assert Throughput("small_cnn", 9, bare=[100, 50, 10], batch=[90, 50, 1]).share == 0.9
