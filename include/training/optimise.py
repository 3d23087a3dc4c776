"""Fit a classifier's weights: AdamW under a cosine schedule, the epoch best on validation images is kept."""

import copy
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training.augmentation import augment
from include.training.samples import Samples
from include.vision.networks import Classifier, build_classifier

MAX_THREADS = 4
# Below this side, in pixels, threads wait for each other longer than they work: on a busy machine, many times over.
SINGLE_THREAD_SIZE = 64
# torch's random state and settings belong to the process, not to a thread.
ONE_TRAINING = threading.Lock()


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, and how the model did on the validation images after it."""

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


def fit_classifier(
    training: TrainingConfig, classes: int, train: Samples, validation: Samples, report: Callable[[Epoch], None]
) -> tuple[Classifier, Epoch]:
    """Train a new classifier; return it, with the weights of its best epoch, and that epoch.

    AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019); cosine: the same, "SGDR" (2017).

    :raises ContractViolationError: the loss is no number any more.
    """
    with reproducible(training):
        classifier = build_classifier(training, classes)
        classifier.preprocess.learn_statistics(train.images)
        best, weights = None, classifier.state_dict()
        for epoch in _epochs(classifier, training, train, validation):
            report(epoch)
            if best is None or _rank(epoch) > _rank(best):
                best, weights = epoch, copy.deepcopy(classifier.state_dict())
        assert best is not None  # noqa: S101 - TrainingConfig asks for one epoch at least
        classifier.load_state_dict(weights)
    return classifier.eval(), best


@contextmanager
def reproducible(training: TrainingConfig) -> Iterator[None]:
    """Make torch give the same numbers for the same seed on this machine; leave its settings as they were."""
    with ONE_TRAINING, torch.random.fork_rng(devices=[]):
        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        torch.manual_seed(training.seed)
        several = min(len(os.sched_getaffinity(0)), MAX_THREADS)
        torch.set_num_threads(several if training.image_size > SINGLE_THREAD_SIZE else 1)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)


def _epochs(classifier: Classifier, training: TrainingConfig, train: Samples, validation: Samples) -> Iterator[Epoch]:
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    # Batches of even size, and never one image alone: batch normalisation cannot learn from a single value.
    batches = min(math.ceil(len(train) / training.batch_size), len(train) // 2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=training.epochs * batches)
    for number in range(1, training.epochs + 1):
        started, rate = time.monotonic(), float(schedule.get_last_lr()[0])
        train_loss = _train_epoch(classifier, train, batches, optimizer, schedule)
        if not math.isfinite(train_loss):
            raise ContractViolationError(
                f"training diverged: loss {train_loss} in epoch {number}; lower training.learning_rate "
                f"(now {training.learning_rate})"
            )
        loss, accuracy = _validate(classifier, validation)
        yield Epoch(number, train_loss, loss, accuracy, rate, time.monotonic() - started)


def _train_epoch(
    classifier: Classifier,
    train: Samples,
    batches: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    classifier.train()
    total = 0.0
    for chosen in torch.tensor_split(torch.randperm(len(train)), batches):
        inputs = augment(classifier.preprocess.prepare([train.images[index] for index in chosen.tolist()]))
        loss = functional.cross_entropy(classifier.network(inputs), train.targets[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += loss.item() * len(chosen)
    return total / len(train)


def _validate(classifier: Classifier, validation: Samples) -> tuple[float, float]:
    """Mean negative log-likelihood, and accuracy."""
    probabilities = classifier.predict_probabilities(validation.images)
    targets = validation.targets.numpy()
    likelihood = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    loss = float(-np.log(np.clip(likelihood, 1e-12, 1.0)).mean())
    return loss, float((probabilities.argmax(axis=1) == targets).mean())


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.validation_accuracy, -epoch.validation_loss
