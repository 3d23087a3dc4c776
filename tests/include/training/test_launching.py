import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import psutil
import pytest
import torch

from include.errors import ContractViolationError, TransientError
from include.project import TrainingConfig
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.training import launching
from include.training.checkpoints import Checkpoints
from include.training.epochs import Epoch
from include.training.optimise import fit_classifier
from include.training.samples import Samples

KEY = digest_bytes(b"a training")
SETTINGS = {
    "epochs": 4,
    "batch_size": 33,
    "schedule": "one_cycle",
    "dropout": 0.3,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "augmentation": {"flip_horizontal": True, "brightness": 0.2, "erase": 0.3, "mixup": 0.3, "cutmix": 0.3},
}
TRAIN = """
import sys
import numpy as np, torch
from include.project import TrainingConfig
from include.storage import Store
from include.training.checkpoints import Checkpoints
from include.training.optimise import fit_classifier
from include.training.samples import Samples
settings, store, key, data = sys.argv[1:]
arrays = np.load(data)
train, validation = (Samples(list(arrays[f"{name}_images"]), torch.from_numpy(arrays[name])) for name in ("a", "b"))
checkpoints = Checkpoints(Store(store), "digits", key)
report = lambda epoch: print("epoch", epoch.number, flush=True)
fit_classifier(TrainingConfig.model_validate_json(settings), 10, train, validation, report, checkpoints)
"""
END_SECONDS = 60


def gather(pairs):
    return Samples([image for image, _ in pairs], torch.tensor([int(label) for _, label in pairs]))


@pytest.fixture(scope="module")
def splits(digit_images):
    return gather(digit_images[:139]), gather(digit_images[139:200])


def fit(splits, processes, report, checkpoints=None):
    return fit_classifier(TrainingConfig(**SETTINGS, processes=processes), 10, *splits, report, checkpoints)


@pytest.fixture(scope="module")
def undisturbed(splits):
    """Train in two processes, to the end: the model, and its epochs."""
    epochs = []
    state = torch.get_rng_state()
    classifier, best = fit(splits, 2, epochs.append)
    assert torch.equal(torch.get_rng_state(), state)
    return classifier, best, epochs


def test_two_processes_learn_what_one_does(splits, undisturbed):
    alone = []
    fit(splits, 1, alone.append)
    classifier, best, together = undisturbed
    assert best == max(together, key=lambda epoch: epoch.rank)
    assert [epoch.learning_rate for epoch in together] == [epoch.learning_rate for epoch in alone]
    # Rounding differs, and AdamW makes more of it with every step.
    assert together[0].train_loss == pytest.approx(alone[0].train_loss, abs=1e-4)
    assert together[0].validation_loss == pytest.approx(alone[0].validation_loss, abs=1e-3)
    assert [epoch.train_loss for epoch in together] == pytest.approx([epoch.train_loss for epoch in alone], abs=0.01)
    probabilities = classifier.predict_probabilities(splits[1].images)
    accuracy = np.mean(probabilities.argmax(axis=1) == splits[1].targets.numpy())
    assert accuracy == pytest.approx(best.validation_accuracy, abs=0.02)


def list_children(pid):
    return psutil.Process(pid).children(recursive=True)


def find_worker(rank):
    for process in list_children(os.getpid()):
        if "include.training.worker" in process.cmdline() and process.environ().get("RANK") == str(rank):
            return process
    pytest.fail(f"no worker of rank {rank}")


def test_a_killed_parent_or_worker_leaves_no_process_and_the_next_attempt_goes_on(splits, undisturbed, store, tmp_path):
    data = tmp_path / "data.npz"
    arrays = {"a": splits[0].targets, "b": splits[1].targets}
    images = {"a_images": np.stack(splits[0].images), "b_images": np.stack(splits[1].images)}
    np.savez(data, **arrays, **images)
    settings = TrainingConfig(**SETTINGS, processes=2).model_dump_json()
    command = [sys.executable, "-c", TRAIN, settings, store.root, KEY, str(data)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "epoch 1\n"
        orphans = list_children(parent.pid)
        parent.kill()
    assert len(orphans) >= 3
    assert psutil.wait_procs(orphans, END_SECONDS)[1] == []

    checkpoints = Checkpoints(store, "digits", KEY)
    assert store.exists(checkpoints.address)
    numbers = []

    def kill_one(epoch):
        numbers.append(epoch.number)
        if len(numbers) == 1:
            victims.extend(process for process in list_children(os.getpid()) if process not in others)
            find_worker(1).kill()

    others, victims = list_children(os.getpid()), []
    with pytest.raises(TransientError, match="ended with exit code -9, and the others with it"):
        fit(splits, 2, kill_one, checkpoints)
    assert psutil.wait_procs(victims, END_SECONDS)[1] == []

    numbers.clear()
    classifier, best = fit(splits, 2, lambda epoch: numbers.append(epoch.number), checkpoints)
    assert numbers == [1, 2, 3, 4]
    expected = undisturbed[0].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in classifier.state_dict().items())
    assert best.validation_loss == undisturbed[1].validation_loss


def test_what_the_report_raises_ends_the_processes(splits):
    class PrunedError(Exception):
        pass

    others, running = list_children(os.getpid()), []

    def prune(_):
        running.extend(process for process in list_children(os.getpid()) if process not in others)
        raise PrunedError

    with pytest.raises(PrunedError):
        fit(splits, 2, prune)
    assert psutil.wait_procs(running, END_SECONDS)[1] == []


def listen(script):
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield from launching._listen(process)


def record(kind, value):
    return f"{launching.RECORD}{json.dumps([kind, value])}"


def test_an_error_of_a_process_is_raised_as_itself():
    text = record(launching.ERROR, ["ContractViolationError", "training diverged\nlower it"])
    with pytest.raises(ContractViolationError, match=r"^training diverged\nlower it$"):
        list(listen(f"print({text!r})"))


def test_reports_are_told_from_other_output(caplog):
    caplog.set_level(logging.INFO)
    epoch = Epoch(1, 0.5, 0.6, 0.7, 0.1, 1.0)
    text = record(launching.EPOCH, asdict(epoch))
    assert list(listen(f"print('loading: 50 %', end=''); print({text!r}); print('a warning')")) == [epoch]
    assert "a warning" in caplog.messages
