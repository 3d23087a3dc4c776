import numpy as np
import pytest

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training.recency import choose_days
from include.training.samples import read_samples

DAYS = [f"2026-03-{day:02}" for day in range(1, 11) for _ in range(4)]


def choose(mode, days=DAYS, **values):
    return choose_days(days, TrainingConfig(mode=mode, recent_days=2, **values))


@pytest.mark.parametrize("mode", ["full", "warm_start"])
def test_these_learn_from_all_days(mode):
    assert choose(mode) is None
    assert choose(mode, ["snapshot"]) is None


def test_a_sliding_window_takes_the_newest_days_whole():
    assert choose("sliding_window") == list(range(32, 40))
    assert choose("sliding_window", ["2026-03-10", "2026-02-28", "2026-03-09"]) == [0, 2]
    assert choose("sliding_window", []) is None


@pytest.mark.parametrize(("share", "older"), [(0.5, 8), (0.75, 24), (0.9, 32)])
def test_a_replay_mix_adds_its_share_of_older_images_as_far_as_there_are_any(share, older):
    chosen = choose("replay", replay_share=share)
    assert chosen[-8:] == list(range(32, 40))
    assert len(chosen) == 8 + older
    assert chosen == sorted(set(chosen))
    assert chosen == choose("replay", replay_share=share)


def test_another_seed_replays_others():
    assert choose("replay") != choose("replay", seed=3)


def test_a_source_without_days_says_so():
    with pytest.raises(ContractViolationError, match="snapshot without days; use `full`"):
        choose("sliding_window", ["snapshot", "snapshot"])


def test_only_training_images_are_chosen(publish, digit_images, quick_project, store):
    dataset = publish(digit_images)
    everything, validation = read_samples(quick_project, dataset, store)
    window = quick_project.training.model_copy(update={"mode": "sliding_window", "recent_days": 1})
    train, same = read_samples(quick_project.model_copy(update={"training": window}), dataset, store)
    assert len(same) == len(validation)
    assert 0 < len(train) <= len(everything)
    assert len(train) == len(train.targets) == len(list(train.images))
    assert all(np.array_equal(one, other) for one, other in zip(train.take([0, 1]), train.images[:2], strict=True))
