import logging
import pickle
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.settings import REPOSITORY
from include.storage import Store, digest_bytes
from include.training.checkpoints import Checkpoints, clean_checkpoints
from include.training.optimise import fit_classifier
from include.training.samples import Samples
from include.vision.weights import save_classifier

KEY = digest_bytes(b"a training")
CLASSES = tuple("0123456789")
SETTINGS = {
    "epochs": 5,
    "dropout": 0.3,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "augmentation": {"brightness": 0.2, "mixup": 0.2, "cutmix": 0.2},
}
# Dies by its own hand: before or during the write of checkpoint N, or after it, when epoch N is reported.
TRAIN = """
import os, pathlib, signal, sys
import numpy as np, torch
from include.project import TrainingConfig
from include.storage import Store
from include.training.checkpoints import Checkpoints
from include.training.optimise import fit_classifier
from include.training.samples import Samples
settings, store, key, data, moment = sys.argv[1:]
arrays = np.load(data)
names = ("train", "validation")
train, validation = (Samples(list(arrays[f"{name}_images"]), torch.from_numpy(arrays[name])) for name in names)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
when, number = moment.split()
def report(epoch):
    if when == "report" and epoch.number == int(number):
        die()
checkpoints = Checkpoints(Store(store), "digits", key)
write = checkpoints.store.write
def count(address, data, seen=[]):
    seen.append(address)
    if when == "before" and len(seen) == int(number):
        die()
    if when == "during" and len(seen) == int(number):
        pathlib.Path.replace = lambda *_: die()
    write(address, data)
checkpoints.store.write = count
fit_classifier(TrainingConfig.model_validate_json(settings), 10, train, validation, report, checkpoints)
"""


def gather(pairs):
    return Samples([image for image, _ in pairs], torch.tensor([int(label) for _, label in pairs]))


@pytest.fixture(scope="module")
def splits(digit_images):
    return gather(digit_images[:150]), gather(digit_images[150:220])


@pytest.fixture
def training():
    return TrainingConfig.model_validate(SETTINGS)


@pytest.fixture
def digest(splits, training, tmp_path):
    """Give a function that trains, in this process, and names the weights."""

    def train(checkpoints=None, report=lambda _: None):
        classifier, _ = fit_classifier(training, 10, *splits, report, checkpoints)
        return save_classifier(classifier, training, CLASSES, tmp_path / "model")

    return train


class InterruptionError(Exception):
    """An attempt ends here."""


def interrupt_after(number):
    def report(epoch):
        if epoch.number == number:
            raise InterruptionError

    return report


@pytest.mark.parametrize("moment", ["before 1", "report 1", "during 2", "report 3", "before 5", "report 5"])
def test_kill_9_at_any_epoch_and_again_ends_in_the_same_weights(digest, splits, training, store, tmp_path, moment):
    data = tmp_path / "data.npz"
    parts = {"train": splits[0], "validation": splits[1]}
    arrays = {name: part.targets.numpy() for name, part in parts.items()}
    np.savez(data, **arrays, **{f"{name}_images": np.stack(part.images) for name, part in parts.items()})
    arguments = [training.model_dump_json(), store.root, KEY, str(data), moment]
    killed = subprocess.run([sys.executable, "-c", TRAIN, *arguments], cwd=REPOSITORY, check=False)
    assert killed.returncode == -9
    reported = []
    checkpoints = Checkpoints(store, "digits", KEY)
    assert digest(checkpoints, reported.append) == digest()
    assert [epoch.number for epoch in reported] == [1, 2, 3, 4, 5]
    checkpoints.remove()
    assert store.list("digits") == []
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_training_goes_on_in_any_store_and_only_with_what_is_left(digest, any_store, splits, training):
    checkpoints = Checkpoints(any_store, "digits", KEY)
    with pytest.raises(InterruptionError):
        digest(checkpoints, interrupt_after(3))
    seconds, finished = [], []
    digest(checkpoints, lambda epoch: seconds.append(epoch.seconds))
    fit_classifier(training, 10, *splits, finished.append, checkpoints)
    # What was measured once is read, not measured again.
    assert [epoch.seconds for epoch in finished] == seconds
    checkpoints.remove()
    checkpoints.remove()
    assert not any_store.exists(checkpoints.address)


def test_interrupted_at_every_epoch_it_ends_in_the_same_weights(digest, store):
    checkpoints = Checkpoints(store, "digits", KEY)
    for number in range(1, 6):
        with pytest.raises(InterruptionError):
            digest(checkpoints, interrupt_after(number))
    assert digest(checkpoints) == digest()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: pickle.dumps({"weights": 1}),
        lambda data: data + b"\0",
    ],
    ids=["empty", "cut short", "one bit", "pickle", "longer"],
)
def test_a_damaged_checkpoint_is_ignored_with_a_warning(digest, store, damage, caplog):
    checkpoints = Checkpoints(store, "digits", KEY)
    with pytest.raises(InterruptionError):
        digest(checkpoints, interrupt_after(2))
    store.write(checkpoints.address, damage(store.read(checkpoints.address)))
    with caplog.at_level(logging.WARNING):
        assert digest(checkpoints) == digest()
    assert "is ignored, the training starts anew" in caplog.text


@pytest.mark.parametrize("change", ["key", "torch"])
def test_a_checkpoint_of_another_training_or_torch_is_ignored(digest, store, change, monkeypatch, caplog):
    first = Checkpoints(store, "digits", KEY)
    with pytest.raises(InterruptionError):
        digest(first, interrupt_after(2))
    other = Checkpoints(store, "digits", digest_bytes(b"another") if change == "key" else KEY)
    store.write(other.address, store.read(first.address))
    if change == "torch":
        monkeypatch.setattr(torch, "__version__", "1.0")
    reported = []
    with caplog.at_level(logging.WARNING):
        digest(other, reported.append)
    assert len(reported) == 5
    assert "is ignored" in caplog.text


def test_early_stopping_counts_the_epochs_before_the_interruption(splits, store):
    training = TrainingConfig(epochs=60, patience=2, learning_rate=0.05)
    whole, parts = [], []
    fit_classifier(training, 10, *splits, whole.append)
    checkpoints = Checkpoints(store, "digits", KEY)
    for number in range(1, len(whole) + 1):
        with pytest.raises(InterruptionError):
            fit_classifier(training, 10, *splits, interrupt_after(number), checkpoints)
    _, best = fit_classifier(training, 10, *splits, parts.append, checkpoints)
    assert len(parts) == len(whole) == best.number + 2
    assert best.validation_loss == max(whole, key=lambda epoch: epoch.rank).validation_loss


def test_two_trainings_of_one_project_do_not_meet(digest, store):
    one, two = (Checkpoints(store, "digits", digest_bytes(name)) for name in (b"one", b"two"))
    for checkpoints in (one, two):
        with pytest.raises(InterruptionError):
            digest(checkpoints, interrupt_after(1))
    one.remove()
    assert store.list("digits") == [two.address]


def test_only_checkpoints_of_trainings_that_were_given_up_are_removed(digest, project, any_store):
    begun = datetime.now(UTC)
    given_up, damaged = (Checkpoints(any_store, project.name, digest_bytes(name)) for name in (b"one", b"two"))
    with pytest.raises(InterruptionError):
        digest(given_up, interrupt_after(1))
    assert clean_checkpoints(project, any_store, begun) == ()
    for data in (b"", b"x" * 40, bytes(32) + b"\xff" * 8, bytes(32) + b"\2\0\0\0\0\0\0\0{}", bytes(32) + b"\1" * 99):
        any_store.write(damaged.address, data)
        assert clean_checkpoints(project, any_store, begun) == (damaged.address,)
    assert clean_checkpoints(project, any_store, datetime.now(UTC)) == (given_up.address,)
    assert clean_checkpoints(project, any_store, datetime.now(UTC)) == ()


def test_a_project_name_cannot_leave_the_store(tmp_path, digest):
    with pytest.raises(ContractViolationError, match="leaves the store"):
        digest(Checkpoints(Store(str(tmp_path / "store")), "../../digits", KEY))
