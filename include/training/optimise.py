"""Fit a classifier's weights: AdamW under a schedule, the epoch best on validation images is kept."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training.augmentation import Mix, Vary, build_augmentation, build_mixing
from include.training.checkpoints import Checkpoints, Progress
from include.training.devices import choose_device, mixed_precision, reproducible
from include.training.epochs import Epoch as Epoch
from include.training.samples import Samples
from include.vision.networks import Classifier, build_classifier
from include.vision.pretrained import load_pretrained

logger = logging.getLogger(__name__)

LOWEST_LIKELIHOOD = 1e-12


@dataclass(frozen=True)
class _Recipe:
    """What stays the same over a training's epochs."""

    training: TrainingConfig
    train: Samples
    validation: Samples
    batches: int
    network: nn.Module
    loss: nn.CrossEntropyLoss
    vary: Vary
    mix: Mix | None


def fit_classifier(
    training: TrainingConfig,
    classes: int,
    train: Samples,
    validation: Samples,
    report: Callable[[Epoch], None],
    checkpoints: Checkpoints | None = None,
) -> tuple[Classifier, Epoch]:
    """Train a classifier; return it on the CPU, with the weights of its best epoch, and that epoch.

    AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019); cosine: the same, "SGDR" (2017);
    one-cycle: Smith and Topin, "Super-Convergence" (2018).

    :param report: Called after every epoch, also those before a checkpoint; what it raises ends the training.
    :param checkpoints: Where to go on from, and what to write after every epoch. The weights come out the same as
        without an interruption, on the same kind of processor.
    :raises ContractViolationError: a loss is no number any more, or the device or the pretrained weights are not there.
    """
    device = choose_device(training)
    with reproducible(training, device):
        progress, recipe = _prepare(training, classes, train, validation, device)
        if checkpoints is None or not checkpoints.restore(progress):
            progress.classifier.preprocess.learn_statistics(train.images)
            load_pretrained(progress.classifier, training)
        for epoch in progress.epochs:
            report(epoch)
        while not _is_over(progress, training):
            epoch = _run_epoch(progress, recipe)
            if checkpoints is not None:
                checkpoints.save(progress)
            report(epoch)
        progress.classifier.load_state_dict(progress.best_weights)
    return progress.classifier.cpu().eval(), progress.best


def _prepare(
    training: TrainingConfig, classes: int, train: Samples, validation: Samples, device: torch.device
) -> tuple[Progress, _Recipe]:
    gpu = device.type == "cuda"
    classifier = build_classifier(training, classes)
    classifier = classifier.to(device, memory_format=torch.channels_last) if gpu else classifier  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    # Batches of even size, and never one image alone: batch normalisation cannot learn from a single value.
    batches = min(math.ceil(len(train) / training.batch_size), len(train) // 2)
    recipe = _Recipe(
        training=training,
        train=train,
        validation=validation,
        batches=batches,
        # On a CPU, compiling takes longer than it saves.
        network=torch.compile(classifier.network) if training.compile and gpu else classifier.network,  # type: ignore[arg-type]
        loss=_build_loss(training, classes, train.targets).to(device),
        vary=build_augmentation(training.augmentation, training.image_size),
        mix=build_mixing(training.augmentation, classes),
    )
    logger.info("training on %s, %d batches an epoch", device, batches)
    schedule = _build_schedule(training, optimizer, training.epochs * batches)
    return Progress(classifier, optimizer, schedule, device), recipe


def _build_loss(training: TrainingConfig, classes: int, targets: torch.Tensor) -> nn.CrossEntropyLoss:
    weights = None
    if training.class_weights == "balanced":
        counts = torch.bincount(targets, minlength=classes).clamp(min=1)
        weights = len(targets) / (classes * counts)
    return nn.CrossEntropyLoss(weights, label_smoothing=training.label_smoothing)


def _build_schedule(training: TrainingConfig, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    if training.schedule == "one_cycle":
        # One step more than are taken: a cycle of a single step cannot be divided into phases.
        return OneCycleLR(optimizer, max_lr=training.learning_rate, total_steps=steps + 1)
    if training.schedule == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    return CosineAnnealingLR(optimizer, T_max=steps)


def _is_over(progress: Progress, training: TrainingConfig) -> bool:
    done = len(progress.epochs)
    stalled = training.patience > 0 and done > 0 and done - progress.best.number >= training.patience
    return done >= training.epochs or stalled


def _run_epoch(progress: Progress, recipe: _Recipe) -> Epoch:
    """Train and validate once; take the result into the progress."""
    number, started = len(progress.epochs) + 1, time.monotonic()
    rate = float(progress.schedule.get_last_lr()[0])
    train_loss = _train_epoch(progress, recipe)
    loss, accuracy = _validate(progress.classifier, recipe.validation)
    if not (math.isfinite(train_loss) and math.isfinite(loss)):
        raise ContractViolationError(
            f"training diverged: loss {train_loss}, on validation {loss} in epoch {number}; lower "
            f"training.learning_rate (now {recipe.training.learning_rate})"
        )
    epoch = Epoch(number, train_loss, loss, accuracy, rate, time.monotonic() - started)
    progress.epochs.append(epoch)
    if progress.best is epoch:
        progress.best_weights = copy.deepcopy(progress.classifier.state_dict())
    return epoch


def _train_epoch(progress: Progress, recipe: _Recipe) -> float:
    classifier, device = progress.classifier.train(), progress.device
    total = 0.0
    for images, targets in _feed(recipe.train, recipe.batches):
        inputs, answers = classifier.preprocess.normalise(recipe.vary(classifier.preprocess.gather(images))), targets
        if recipe.mix is not None:
            inputs, answers = recipe.mix(inputs, targets)
        with mixed_precision(recipe.training, device):
            loss = recipe.loss(recipe.network(inputs), answers)
        progress.optimizer.zero_grad()
        loss.backward()
        progress.optimizer.step()
        progress.schedule.step()
        total += loss.item() * len(targets)
    return total / len(recipe.train)


def _feed(train: Samples, batches: int) -> Iterator[tuple[list[NDArray[np.uint8]], torch.Tensor]]:
    """Deal the images into batches in random order, each read while the one before it is learned from."""
    order = torch.tensor_split(torch.randperm(len(train)), batches)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(train.take, order[0].tolist())
        for chosen, following in zip(order, [*order[1:], order[0][:0]], strict=True):
            images, coming = coming.result(), reader.submit(train.take, following.tolist())
            yield images, train.targets[chosen]


def _validate(classifier: Classifier, validation: Samples) -> tuple[float, float]:
    """Mean negative log-likelihood, and accuracy."""
    probabilities = classifier.predict_probabilities(validation.images)
    targets = validation.targets.numpy()
    likelihood = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    loss = float(-np.log(np.clip(likelihood, LOWEST_LIKELIHOOD, 1.0)).mean())
    return loss, float((probabilities.argmax(axis=1) == targets).mean())
