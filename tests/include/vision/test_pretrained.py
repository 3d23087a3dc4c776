import hashlib
import pickle
import urllib.error

import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision.models import resnet18

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import TrainingConfig
from include.vision.networks import build_classifier
from include.vision.pretrained import digest_pretrained, load_pretrained
from include.vision.weights import load_classifier, save_classifier


def configure(weights, architecture="resnet18"):
    return TrainingConfig(architecture=architecture, weights=str(weights), image_size=32)


@pytest.fixture(scope="module")
def learned():
    """Weights for 1,000 classes, as torchvision's files hold them."""
    torch.manual_seed(1)
    return resnet18().state_dict()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torchvision's files, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr("torch.hub.urlopen", fail)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def known_file(monkeypatch, cache, learned):
    """A file in the cache under the name that its digest gives it, as torchvision would have fetched it."""
    cache.mkdir(parents=True)
    torch.save(learned, cache / "new.pth")
    digest = hashlib.sha256((cache / "new.pth").read_bytes()).hexdigest()
    path = (cache / "new.pth").rename(cache / f"resnet18-{digest[:8]}.pth")
    monkeypatch.setattr("include.vision.pretrained._find_url", lambda _: f"https://example.invalid/{path.name}")
    return path


def assert_body_is(classifier, learned):
    body = {name: value for name, value in classifier.network.state_dict().items() if not name.startswith("fc.")}
    assert all(torch.equal(value, learned[name]) for name, value in body.items())


def test_a_local_file_gives_the_body_and_the_head_is_ours(tmp_path, learned):
    safetensors.torch.save_file(learned, tmp_path / "learned.safetensors")
    training = configure(tmp_path / "learned.safetensors")
    classifier = build_classifier(training, 7)
    head, mean = classifier.network.fc.weight.clone(), classifier.preprocess.mean.clone()
    load_pretrained(classifier, training)
    assert_body_is(classifier, learned)
    assert torch.equal(classifier.network.fc.weight, head)
    assert head.shape == (7, 512)
    assert torch.equal(classifier.preprocess.mean, mean)


@pytest.mark.parametrize("architecture", ["small_cnn", "resnet18"])
def test_a_model_of_this_project_can_be_gone_on_from_with_other_classes(tmp_path, architecture):
    training = configure("", architecture)
    before = build_classifier(training, 10)
    before.preprocess.mean.fill_(0.9)
    save_classifier(before, training, tuple("0123456789"), tmp_path)
    after = build_classifier(training, 3)
    load_pretrained(after, configure(tmp_path / "weights.safetensors", architecture))
    first = next(name for name in after.network.state_dict() if name.endswith("weight"))
    assert torch.equal(after.network.state_dict()[first], before.network.state_dict()[first])
    assert float(after.preprocess.mean.max()) == 0.5


def test_weights_in_torchvisions_cache_need_no_network(known_file, learned):
    training = configure("IMAGENET1K_V1")
    classifier = build_classifier(training, 5)
    load_pretrained(classifier, training)
    assert_body_is(classifier, learned)


def test_a_damaged_cache_is_noticed_before_it_is_opened(known_file):
    known_file.write_bytes(pickle.dumps(print))
    with pytest.raises(ContractViolationError, match="is damaged: its SHA-256 is"):
        load_pretrained(build_classifier(configure(""), 5), configure("IMAGENET1K_V1"))


def test_without_network_it_says_which_file_to_put_where(cache):
    with pytest.raises(ArtifactNotFoundError, match=rf"put resnet18-f37072fd\.pth from .* into {cache}"):
        load_pretrained(build_classifier(configure(""), 5), configure("DEFAULT"))
    assert list(cache.iterdir()) == []


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ContractViolationError, match="resnet18 has no weights named 'IMAGENET', but IMAGENET1K_V1"):
        load_pretrained(build_classifier(configure(""), 5), configure("IMAGENET"))
    with pytest.raises(ContractViolationError, match="none named 'DEFAULT' for small_cnn"):
        load_pretrained(build_classifier(TrainingConfig(), 5), TrainingConfig(weights="DEFAULT"))


def test_weights_of_another_architecture_are_refused(tmp_path, learned):
    safetensors.torch.save_file(learned, tmp_path / "learned.safetensors")
    training = configure(tmp_path / "learned.safetensors", "resnet34")
    classifier = build_classifier(training, 5)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    with pytest.raises(ContractViolationError, match="do not fit architecture 'resnet34'"):
        load_pretrained(classifier, training)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, pickle.dumps({"a": 1})], ids=["empty", "noise", "pickle"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ContractViolationError, match="damaged or no safetensors file"):
        load_pretrained(build_classifier(configure(""), 5), configure(path))


def test_a_missing_or_relative_path_is_named(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"no file .*gone\.safetensors"):
        load_pretrained(build_classifier(configure(""), 5), configure(tmp_path / "gone.safetensors"))
    with pytest.raises(ContractViolationError, match="relative path"):
        load_pretrained(build_classifier(configure(""), 5), configure("gone.safetensors"))


def test_a_trained_model_loads_where_its_pretrained_weights_are_not(tmp_path):
    training = configure("/nowhere/learned.safetensors", "small_cnn")
    save_classifier(build_classifier(training, 2), training, ("a", "b"), tmp_path)
    loaded, _ = load_classifier(tmp_path)
    assert loaded.predict_probabilities([np.zeros((32, 32, 3), np.uint8)]).shape == (1, 2)


def test_the_digest_follows_the_content_not_the_name(tmp_path, learned):
    assert digest_pretrained(configure("")) == ""
    assert digest_pretrained(configure("DEFAULT")) == digest_pretrained(configure("IMAGENET1K_V1"))
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in paths:
        safetensors.torch.save_file({"x": learned["fc.bias"]}, path)
    assert digest_pretrained(configure(paths[0])) == digest_pretrained(configure(paths[1]))
    safetensors.torch.save_file({"x": learned["fc.bias"] + 1}, paths[1])
    assert digest_pretrained(configure(paths[0])) != digest_pretrained(configure(paths[1]))
