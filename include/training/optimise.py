"""Fit a classifier's weights: AdamW under a schedule, the epoch best on validation images is kept."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training.augmentation import Mix, Vary, build_augmentation, build_mixing, draw_chances
from include.training.checkpoints import Checkpoints, Progress
from include.training.devices import choose_device, mixed_precision, reproducible
from include.training.epochs import Epoch as Epoch
from include.training.feed import Batch, deal_batches
from include.training.launching import fit_in_processes
from include.training.samples import Samples
from include.training.team import Team
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
    team: Team


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
    :raises TransientError: one of several processes died.
    """
    choose_device(training)
    if training.processes > 1:
        return fit_in_processes(training, classes, (train, validation), report, checkpoints)
    return fit_in_team(training, classes, (train, validation), report, Team(), checkpoints, checkpoints)


def fit_in_team(
    training: TrainingConfig,
    classes: int,
    splits: tuple[Samples, Samples],
    report: Callable[[Epoch], None],
    team: Team,
    start: Checkpoints | None,
    checkpoints: Checkpoints | None,
) -> tuple[Classifier, Epoch]:
    """Train as `fit_classifier`, in this process, together with the others of a team.

    :param splits: All training images, and those of the validation images that are this process's.
    :param start: Where to go on from; all processes' must say the same.
    :param checkpoints: What to write after every epoch.
    """
    device = choose_device(training)
    with reproducible(training, device):
        progress, recipe = _prepare(training, classes, splits, device, team)
        if (start is None or not start.restore(progress)) and team.leads:
            progress.classifier.preprocess.learn_statistics(splits[0].images)
            load_pretrained(progress.classifier, training)
        team.follow(progress.classifier.state_dict().values())
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
    training: TrainingConfig, classes: int, splits: tuple[Samples, Samples], device: torch.device, team: Team
) -> tuple[Progress, _Recipe]:
    gpu = device.type == "cuda"
    classifier = build_classifier(training, classes)
    classifier = classifier.to(device, memory_format=torch.channels_last) if gpu else classifier  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    network = team.connect(classifier.network, device)
    batches = _count_batches(training, len(splits[0]))
    recipe = _Recipe(
        training=training,
        train=splits[0],
        validation=splits[1],
        batches=batches,
        # On a CPU, compiling takes longer than it saves.
        network=torch.compile(network) if training.compile and gpu else network,  # type: ignore[arg-type]
        loss=_build_loss(training, classes, splits[0].targets).to(device),
        vary=build_augmentation(training.augmentation, training.image_size),
        mix=build_mixing(training.augmentation, classes),
        team=team,
    )
    logger.info("training on %s, %d batches an epoch", device, batches)
    schedule = _build_schedule(training, optimizer, training.epochs * batches)
    return Progress(classifier, optimizer, schedule, device), recipe


def _count_batches(training: TrainingConfig, images: int) -> int:
    """Divide an epoch into batches of even size, never of one image: batch normalisation cannot learn from one value.

    :raises ContractViolationError: there are more processes than images in a batch.
    """
    batches = min(math.ceil(images / training.batch_size), images // 2)
    if images // batches < training.processes:
        raise ContractViolationError(
            f"{images} training images in batches of {images // batches} leave some of the {training.processes} "
            "processes without any; lower training.processes"
        )
    return batches


def _build_loss(training: TrainingConfig, classes: int, targets: torch.Tensor) -> nn.CrossEntropyLoss:
    weights = None
    if training.class_weights == "balanced":
        counts = torch.bincount(targets, minlength=classes).clamp(min=1)
        weights = len(targets) / (classes * counts)
    return nn.CrossEntropyLoss(weights, reduction="sum", label_smoothing=training.label_smoothing)


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
    loss, accuracy = _validate(progress.classifier, recipe.validation, recipe.team)
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
    team, total = recipe.team, torch.zeros(1, dtype=torch.float64)
    progress.classifier.train()
    team.follow_random_state()
    for batch in deal_batches(recipe.train, recipe.batches, team, with_neighbour=recipe.mix is not None):
        loss = _measure_loss(batch, progress, recipe)
        progress.optimizer.zero_grad()
        # Times the size of the team, whose gradients are averaged.
        (loss * team.size).backward()  # type: ignore[no-untyped-call]
        progress.optimizer.step()
        progress.schedule.step()
        total += loss.item() * len(batch.targets)
    return float(team.add_up(total)) / len(recipe.train)


def _measure_loss(batch: Batch, progress: Progress, recipe: _Recipe) -> torch.Tensor:
    """Return this process's part of a batch's mean loss."""
    recipe.team.begin(len(batch.targets))
    preprocess, places = progress.classifier.preprocess, batch.places
    chances = draw_chances(len(batch.targets))[places]
    inputs = preprocess.normalise(recipe.vary(preprocess.gather(batch.images), chances))
    targets = batch.targets.to(progress.device)
    weights = recipe.loss.weight
    whole = len(targets) if weights is None or recipe.mix else weights[targets].sum()
    answers = targets[places.to(progress.device)]
    if recipe.mix is not None:
        inputs, answers = recipe.mix(inputs, answers)
    own = recipe.team.own.stop - recipe.team.own.start
    with mixed_precision(recipe.training, progress.device):
        loss: torch.Tensor = recipe.loss(recipe.network(inputs[-own:]), answers[-own:])
    return loss / whole


def _validate(classifier: Classifier, validation: Samples, team: Team) -> tuple[float, float]:
    """Mean negative log-likelihood, and accuracy, over all processes' validation images."""
    probabilities = classifier.predict_probabilities(validation.images)
    targets = validation.targets.numpy()
    likelihood = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    losses = -np.log(np.clip(likelihood, LOWEST_LIKELIHOOD, 1.0))
    right = (probabilities.argmax(axis=1) == targets).sum()
    loss, correct, count = team.add_up(torch.tensor([losses.sum(), right, len(targets)], dtype=torch.float64)).tolist()
    return loss / count, correct / count
