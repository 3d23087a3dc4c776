import numpy as np
import pytest
import torch

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.training import optimise
from include.training.optimise import fit_classifier
from include.training.samples import Samples
from include.vision.weights import save_classifier


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
    monkeypatch.setattr(optimise, "build_augmentation", lambda *_: lambda batch, _: batch * float("inf"))
    with pytest.raises(ContractViolationError, match=r"diverged: loss nan.* in epoch 1; lower training\.learning_rate"):
        fit(splits)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "constant"])
def test_the_learning_rate_follows_the_schedule(splits, schedule):
    epochs = []
    fit(splits, epochs.append, epochs=4, schedule=schedule, learning_rate=0.01)
    rates = [epoch.learning_rate for epoch in epochs]
    shapes = {
        "cosine": rates[0] == pytest.approx(0.01) and rates == sorted(rates, reverse=True),
        "one_cycle": rates[0] < 0.001 and max(rates[1:3]) > 0.005 and rates[3] < max(rates),
        "constant": rates == [0.01] * 4,
    }
    assert shapes[schedule], rates


def test_one_step_is_enough_for_every_schedule(splits):
    few = Samples(splits[0].images[:4], splits[0].targets[:4])
    for schedule in ("cosine", "one_cycle", "constant"):
        training = TrainingConfig(epochs=1, schedule=schedule)
        assert fit_classifier(training, 10, few, splits[1], lambda _: None)[1].number == 1


def test_stops_early_with_the_weights_of_the_best_epoch(splits):
    epochs = []
    classifier, best = fit(splits, epochs.append, epochs=200, patience=2, learning_rate=0.05)
    assert len(epochs) == best.number + 2 < 200
    answers = classifier.predict_probabilities(splits[1].images).argmax(axis=1)
    assert np.mean(answers == splits[1].targets.numpy()) == pytest.approx(best.validation_accuracy)


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.6},
        {"weight_decay": 0.9},
        {"label_smoothing": 0.3},
        {"class_weights": "balanced"},
        {"schedule": "one_cycle"},
        {"schedule": "constant"},
        {"precision": "mixed"},
        {"batch_size": 32},
        {"augmentation": {"rotate_degrees": 0, "scale": 0, "shift": 0}},
        {"augmentation": {"mixup": 0.4}},
        {"augmentation": {"cutmix": 1.0}},
    ],
    ids=str,
)
def test_every_setting_changes_what_is_learned_and_every_seed_repeats_it(splits, settings):
    plain, changed, again = fit(splits)[0], fit(splits, **settings)[0], fit(splits, **settings)[0]
    assert not torch.equal(plain.network[-1].weight, changed.network[-1].weight)
    assert torch.equal(again.network[-1].weight, changed.network[-1].weight)
    assert torch.isfinite(changed.network[-1].weight).all()


def test_a_rare_class_counts_as_much_as_a_frequent_one(splits):
    loss = optimise._build_loss(TrainingConfig(class_weights="balanced"), 3, torch.tensor([0, 0, 0, 0, 1, 1]))
    assert loss.weight.tolist() == [0.5, 1.0, 2.0]
    assert (loss.weight * torch.tensor([4, 2, 0])).tolist() == [2.0, 2.0, 0.0]


def test_learns_with_everything_switched_on(splits):
    augmentation = {"brightness": 0.2, "contrast": 0.2, "blur": 0.5, "erase": 0.2, "mixup": 0.2, "cutmix": 0.2}
    settings = {"label_smoothing": 0.05, "class_weights": "balanced", "schedule": "one_cycle", "dropout": 0.2}
    _, best = fit(splits, epochs=12, augmentation=augmentation, **settings)
    assert best.validation_accuracy > 0.8


def test_compiling_is_left_to_a_gpu(splits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "compile", None)
    assert fit(splits, epochs=1, compile=True)[1].number == 1


def test_training_starts_from_the_weights_that_are_named(splits, tmp_path):
    before, _ = fit(splits, epochs=6)
    save_classifier(before, TrainingConfig(), tuple("0123456789"), tmp_path)
    gentle = {"epochs": 1, "learning_rate": 1e-3}
    _, cold = fit(splits, **gentle)
    _, warm = fit(splits, **gentle, weights=str(tmp_path / "weights.safetensors"))
    assert warm.validation_loss < cold.validation_loss


def test_a_gpu_that_is_not_there_is_named_before_anything_is_built(splits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ContractViolationError, match=r"training\.device is cuda, but torch finds no GPU"):
        fit(splits, device="cuda")


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_last_batch_of_one_image_does_not_break_batch_normalisation(splits, size):
    train = Samples(splits[0].images[:size], splits[0].targets[:size])
    _, best = fit_classifier(
        TrainingConfig(epochs=1, batch_size=2, architecture="resnet18"), 10, train, splits[1], lambda _: None
    )
    assert best.number == 1


def test_every_process_needs_an_image_of_every_batch():
    assert optimise._count_batches(TrainingConfig(processes=5, batch_size=10), 11) == 2
    with pytest.raises(
        ContractViolationError, match=r"leave some of the 6 processes without any; lower training\.proc"
    ):
        optimise._count_batches(TrainingConfig(processes=6), 5)
    with pytest.raises(ValueError, match="batch_size 64 is below twice the 40 `processes`"):
        TrainingConfig(processes=40)
