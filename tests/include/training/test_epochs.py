from include.training.epochs import Epoch


def test_the_more_accurate_epoch_is_better_and_of_two_alike_the_surer_one():
    worse, surer, best = Epoch(1, 1, 0.1, 0.8, 0, 0), Epoch(2, 1, 0.3, 0.9, 0, 0), Epoch(3, 1, 0.5, 0.95, 0, 0)
    alike = Epoch(4, 1, 0.4, 0.9, 0, 0)
    assert sorted([best, surer, worse, alike], key=lambda epoch: epoch.rank) == [worse, alike, surer, best]
