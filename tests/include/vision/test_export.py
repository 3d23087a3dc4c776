import hashlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from include.project import TrainingConfig
from include.settings import REPOSITORY
from include.vision.export import batch_by_size, export_graph, measure_parity, predict_all
from include.vision.networks import Classifier, build_classifier
from include.vision.preprocessing import Preprocess
from include.vision.releases import open_graph, run_graph, run_graph_with_embedding

EXPORT = """
import hashlib, torch
from include.vision.export import export_graph
from include.project import TrainingConfig
from include.vision.networks import build_classifier
torch.manual_seed(3)
print(hashlib.sha256(export_graph(build_classifier(TrainingConfig(image_size=24), 5).eval())).hexdigest())
"""


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(3)
    return build_classifier(TrainingConfig(image_size=24), 5).eval()


@pytest.fixture(scope="module")
def exported(classifier):
    return export_graph(classifier)


def noise(*shape):
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def test_the_same_weights_give_the_same_bytes_also_in_another_process(exported, classifier):
    assert export_graph(classifier) == exported
    command = [sys.executable, "-c", EXPORT]
    other = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()[-1]
    assert other == hashlib.sha256(exported).hexdigest()


def test_the_graph_names_no_folder_of_this_machine(exported):
    assert str(REPOSITORY).encode() not in exported
    assert b'File "' not in exported


@pytest.mark.parametrize("shape", [(1, 24, 24, 3), (3, 24, 24, 3), (2, 1, 1, 3), (1, 7, 300, 3), (5, 64, 48, 3)])
def test_answers_like_torch_whatever_the_batch_and_size(exported, classifier, shape):
    images = noise(*shape)
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(images)).softmax(dim=1).numpy()
    assert np.abs(run_graph(open_graph(exported), images) - expected).max() < 1e-5


def test_parity_sees_weights_that_differ(exported, classifier):
    images = [noise(24, 24, 3), noise(30, 20, 3)]
    assert measure_parity(classifier, open_graph(exported), images) < 1e-5
    torch.manual_seed(4)
    stranger = build_classifier(TrainingConfig(image_size=24), 5).eval()
    assert measure_parity(stranger, open_graph(exported), images) > 1e-3


def test_parity_sees_another_preprocessing(exported, classifier):
    torch.manual_seed(3)
    other = build_classifier(TrainingConfig(image_size=16), 5).eval()
    other.load_state_dict(classifier.state_dict())
    assert measure_parity(other, open_graph(exported), [noise(24, 24, 3)]) > 1e-4


def test_a_model_that_answers_nan_has_no_parity(exported):
    broken = build_classifier(TrainingConfig(image_size=24), 5).eval()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    assert measure_parity(broken, open_graph(exported), [noise(24, 24, 3)]) > 1


def test_the_graph_holds_standard_operators_only(exported):
    graph = onnx.load_from_string(exported)
    assert {opset.domain for opset in graph.opset_import} == {""}
    assert [i.name for i in graph.graph.input] == ["images"]


def test_batches_have_one_size_each_and_lose_nothing():
    images = [noise(4, 4, 3)] * 70 + [noise(4, 5, 3)] * 3
    assert sorted(batch.shape for batch in batch_by_size(images)) == [(3, 4, 5, 3), (6, 4, 4, 3), (64, 4, 4, 3)]


def test_predicts_images_of_different_sizes_in_order(exported):
    graph = open_graph(exported)
    images = [noise(24, 24, 3), noise(9, 40, 3)]
    together, embeddings = predict_all(graph, images)
    assert (together.shape, embeddings.shape) == ((2, 5), (2, 64))
    for one, found, embedding in zip(images, together, embeddings, strict=True):
        alone, alone_embedding = run_graph_with_embedding(graph, one[None])
        assert np.array_equal(found, alone[0])
        assert np.array_equal(embedding, alone_embedding[0])


def test_an_embedding_keeps_the_distances_between_images(exported, classifier):
    images = noise(40, 24, 24, 3) // np.arange(1, 41, dtype=np.uint8)[:, None, None, None]
    probabilities, embedding = run_graph_with_embedding(open_graph(exported), images)
    assert np.array_equal(probabilities, run_graph(open_graph(exported), images))
    assert (embedding.shape, embedding.dtype) == ((40, 64), np.float32)
    with torch.inference_mode():
        features = classifier.network[:-1](classifier.preprocess(torch.from_numpy(images)))
    ratios = torch.pdist(torch.from_numpy(embedding)) / torch.pdist(features)
    assert torch.all((ratios > 0.6) & (ratios < 1.4))


def test_few_features_are_the_embedding_as_they_are():
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 5))
    small = Classifier(Preprocess(24), network, 5).eval()
    _, embedding = run_graph_with_embedding(open_graph(export_graph(small)), noise(3, 24, 24, 3))
    expected = network[:-1](small.preprocess(torch.from_numpy(noise(3, 24, 24, 3))))
    assert np.allclose(embedding, expected.numpy(), atol=1e-5)


def test_a_head_of_convolutions_sees_the_mean_of_every_place():
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 5, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    convolutional = Classifier(Preprocess(24), network, 5).eval()
    probabilities, embedding = run_graph_with_embedding(
        open_graph(export_graph(convolutional)), images := noise(2, 24, 24, 3)
    )
    with torch.inference_mode():
        prepared = convolutional.preprocess(torch.from_numpy(images))
        assert np.allclose(embedding, network[0](prepared).mean(dim=(2, 3)).numpy(), atol=1e-5)
        assert np.allclose(probabilities, network(prepared).softmax(dim=1).numpy(), atol=1e-5)


def test_exporting_leaves_the_classifier_as_it_was(classifier):
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    export_graph(classifier)
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())
    assert not any(module._forward_pre_hooks for module in classifier.modules())
