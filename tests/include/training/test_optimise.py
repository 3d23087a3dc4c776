import numpy as np
import pytest
import torch

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training import optimise
from include.training.optimise import fit_classifier
from include.training.samples import Samples


def gather(pairs):
    return Samples([image for image, _ in pairs], torch.tensor([int(label) for _, label in pairs]))


@pytest.fixture(scope="module")
def splits(digit_images):
    return gather(digit_images[:300]), gather(digit_images[300:])


def fit(splits, report=lambda _: None, **settings):
    return fit_classifier(TrainingConfig(**{"epochs": 2} | settings), 10, *splits, report)


def test_learns_digits_and_keeps_the_best_epoch(splits):
    epochs = []
    classifier, best = fit(splits, epochs.append, epochs=8)
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert best.validation_accuracy == max(epoch.validation_accuracy for epoch in epochs) > 0.8
    assert epochs[-1].train_loss < epochs[0].train_loss
    validation = splits[1]
    answers = classifier.predict_probabilities(validation.images).argmax(axis=1)
    assert np.mean(answers == validation.targets.numpy()) == pytest.approx(best.validation_accuracy)


def test_the_same_seed_gives_the_same_weights_whatever_came_before(splits):
    first, _ = fit(splits)
    torch.manual_seed(99)
    torch.rand(5)
    second, _ = fit(splits)
    other, _ = fit(splits, seed=18)
    assert all(torch.equal(first.state_dict()[name], value) for name, value in second.state_dict().items())
    assert not torch.equal(first.network[0].weight, other.network[0].weight)


def test_leaves_torch_as_it_was(splits):
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(splits, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_diverging_training_says_what_to_change(splits, monkeypatch):
    monkeypatch.setattr(optimise, "augment", lambda batch: batch * float("inf"))
    with pytest.raises(ContractViolationError, match=r"diverged: loss nan in epoch 1; lower training\.learning_rate"):
        fit(splits)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_last_batch_of_one_image_does_not_break_batch_normalisation(splits, size):
    train = Samples(splits[0].images[:size], splits[0].targets[:size])
    _, best = fit_classifier(
        TrainingConfig(epochs=1, batch_size=2, architecture="resnet18"), 10, train, splits[1], lambda _: None
    )
    assert best.number == 1
