import numpy as np
import pytest
import torch

from include.project import TrainingConfig
from include.storage import digest_bytes
from include.training.checkpoints import Checkpoints
from include.training.handover import open_checkpoints, open_start, read_job, read_splits, write_job
from include.training.samples import Samples, read_samples
from include.training.team import Team

KEY = digest_bytes(b"a training")
TRAINING = TrainingConfig(processes=2)


def hand_over(folder, splits, checkpoints=None):
    write_job(folder, TRAINING, 10, splits, checkpoints)
    job = read_job(folder)
    return job, [read_splits(folder, job, Team(rank, 2).share) for rank in range(2)]


def same(one, other):
    assert one.targets.tolist() == other.targets.tolist()
    assert all(np.array_equal(mine, yours) for mine, yours in zip(one.images, other.images, strict=True))


def test_images_in_the_store_are_opened_where_they_are(publish, digit_images, quick_project, store, tmp_path):
    splits = read_samples(quick_project, publish(digit_images[:120]), store)
    (tmp_path / "job").mkdir()
    job, taken = hand_over(tmp_path / "job", splits)
    assert (job.training, job.classes, job.checkpoints) == (TRAINING, 10, None)
    assert open_start(tmp_path / "job", job) is open_checkpoints(job) is None
    assert not list((tmp_path / "job").rglob("pixels"))
    for train, _ in taken:
        same(train, splits[0])
    assert sum(len(validation) for _, validation in taken) == len(splits[1])
    same(Samples([*taken[0][1].images, *taken[1][1].images], splits[1].targets), splits[1])


@pytest.mark.parametrize("sizes", [[], [(3, 4)], [(3, 4), (16, 9), (1, 1)]])
def test_images_of_any_sizes_in_memory_go_through_one_file(tmp_path, sizes):
    images = [np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8) for size in sizes]
    samples = Samples(images, torch.arange(len(sizes)))
    _, taken = hand_over(tmp_path, (samples, samples))
    for train, validation in taken:
        same(train, samples)
        assert len(validation) <= (len(sizes) + 1) // 2


def test_all_processes_go_on_from_the_checkpoint_of_one_moment(store, tmp_path):
    checkpoints, empty = Checkpoints(store, "digits", KEY), Samples([], torch.zeros(0, dtype=torch.int64))
    store.write(checkpoints.address, b"of the moment")
    (tmp_path / "job").mkdir()
    job, _ = hand_over(tmp_path / "job", (empty, empty), checkpoints)
    store.write(checkpoints.address, b"later")
    start = open_start(tmp_path / "job", job)
    assert start.store.read(start.address) == b"of the moment"
    assert open_checkpoints(job).store.read(checkpoints.address) == b"later"
