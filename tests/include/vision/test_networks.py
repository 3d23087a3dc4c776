import numpy as np
import pytest
import torch
from torch.nn import Dropout

from include.errors import ContractViolationError
from include.project import TrainingConfig
from include.vision.networks import build_classifier, find_head


@pytest.mark.parametrize(
    ("architecture", "size"), [("small_cnn", 32), ("small_cnn", 16), ("resnet18", 32), ("squeezenet1_1", 48)]
)
def test_scores_raw_images_of_any_size(architecture, size):
    classifier = build_classifier(TrainingConfig(architecture=architecture, image_size=size), 7).eval()
    logits = classifier(torch.randint(0, 256, (2, 40, 50, 3), dtype=torch.uint8))
    assert logits.shape == (2, 7)
    assert logits.dtype == torch.float32


def test_the_same_random_state_builds_the_same_weights():
    def build():
        torch.manual_seed(3)
        return build_classifier(TrainingConfig(), 10).state_dict()

    first, second = build(), build()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_architecture_is_refused_with_a_suggestion():
    with pytest.raises(ContractViolationError, match="no architecture 'resnet81'; did you mean 'resnet18'"):
        build_classifier(TrainingConfig(architecture="resnet81"), 10)
    with pytest.raises(ContractViolationError, match="did you mean 'small_cnn'"):
        build_classifier(TrainingConfig(architecture="small_cn"), 10)


@pytest.mark.parametrize(("architecture", "size"), [("alexnet", 32), ("vit_b_32", 33)])
def test_an_architecture_that_cannot_take_the_image_size_is_refused_before_training(architecture, size):
    with pytest.raises(ContractViolationError, match=f"'{architecture}' cannot take images of {size} pixels"):
        build_classifier(TrainingConfig(architecture=architecture, image_size=size), 10)


def test_probabilities_do_not_depend_on_the_batch_size():
    classifier = build_classifier(TrainingConfig(), 10)
    images = list(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))
    probabilities = classifier.predict_probabilities(images)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert classifier.predict_probabilities(images, batch_size=2) == pytest.approx(probabilities, abs=1e-6)
    assert classifier.predict_probabilities([]).shape == (0, 10)


@pytest.mark.parametrize(
    ("architecture", "head"), [("small_cnn", "18"), ("resnet18", "fc"), ("squeezenet1_1", "classifier.1")]
)
def test_the_head_scores_the_classes(architecture, head):
    network = build_classifier(TrainingConfig(architecture=architecture, image_size=48), 7).network
    assert find_head(network) == head
    assert len(network.get_submodule(head).weight) == 7


@pytest.mark.parametrize("architecture", ["small_cnn", "mobilenet_v3_small", "squeezenet1_1"])
def test_dropout_is_that_of_the_head(architecture):
    training = TrainingConfig(architecture=architecture, image_size=64, dropout=0.7)
    dropouts = [module.p for module in build_classifier(training, 3).network.modules() if isinstance(module, Dropout)]
    assert dropouts == [0.7]


def test_dropout_inside_a_transformer_is_left_alone():
    training = TrainingConfig(architecture="vit_b_32", image_size=32, dropout=0.7)
    dropouts = {module.p for module in build_classifier(training, 3).network.modules() if isinstance(module, Dropout)}
    assert dropouts == {0.0}


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(error):
    classifier = build_classifier(TrainingConfig(image_size=32), classes=10)
    images = list(np.random.default_rng(0).integers(0, 255, (11, 32, 32, 3), dtype=np.uint8))
    whole, tried = classifier.predict_probabilities(images), []

    def run_short(_, inputs):
        tried.append(len(inputs[0]))
        if len(inputs[0]) > 3:
            raise error("out of memory")

    hook = classifier.network.register_forward_pre_hook(run_short)
    assert classifier.predict_probabilities(images, batch_size=8) == pytest.approx(whole, abs=1e-6)
    assert tried == [8, 4, 2, 2, 2, 2, 2, 1]
    hook.remove()
    classifier.network.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(error("out of memory")))
    with pytest.raises(error, match="out of memory"):
        classifier.predict_probabilities(images[:4])
