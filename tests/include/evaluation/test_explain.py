import numpy as np
import pytest
import torch
from torch.nn import functional

from include.errors import ContractViolationError
from include.evaluation.explain import METHODS, draw_overlay, explain_images, list_methods
from include.project import TrainingConfig
from include.vision.networks import build_classifier
from include.vision.weights import wrap_graph
from tests.include.foreign_models import export_onnx, make_sheet

SIDE = 32
PATCH = np.s_[20:28, 4:12]
EXACT = {"integrated_gradients": 0.05, "gradient_shap": 0.25}


@pytest.fixture(scope="module")
def planted():
    """A small network that has learned that a bright patch means class 1, and images with and without it."""
    chance = np.random.default_rng(5)
    images = chance.integers(60, 160, (96, SIDE, SIDE, 3), dtype=np.uint8)
    targets = np.arange(96) % 2
    images[targets == 1, *PATCH] = 255
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = build_classifier(TrainingConfig(image_size=SIDE), 2)
        classifier.preprocess.learn_statistics(images)
        optimizer = torch.optim.Adam(classifier.parameters(), 3e-3)
        classifier.train()
        for _ in range(40):
            loss = functional.cross_entropy(classifier(torch.from_numpy(images)), torch.from_numpy(targets))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.set_num_threads(threads)
    assert (classifier.predict_probabilities(list(images)).argmax(axis=1) == targets).mean() > 0.95
    return classifier, list(images[:8]), targets[:8].tolist()


def find_top(attribution, side=8):
    """Upper left corner of the square that holds most of what speaks for the class."""
    held = functional.avg_pool2d(torch.from_numpy(np.maximum(attribution, 0))[None, None], side, 1)[0, 0]
    return divmod(int(held.argmax()), held.shape[1])


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_patch_is_the_top_region(planted, method):
    classifier, images, targets = planted
    marked = [one for one in explain_images(classifier, images, targets, [method]) if one.target == 1]
    assert len(marked) == 4
    for one in marked:
        assert one.attribution.shape == (SIDE, SIDE)
        down, across = find_top(one.attribution)
        assert abs(down - PATCH[0].start) <= 4
        assert abs(across - PATCH[1].start) <= 4


@pytest.mark.parametrize("method", METHODS)
def test_attributions_add_up_where_a_method_promises_it(planted, method):
    classifier, images, targets = planted
    gaps = [one.gap for one in explain_images(classifier, images, targets, [method])]
    assert gaps == [None] * 8 if method not in EXACT else np.median(gaps) <= EXACT[method]


def test_a_sum_that_is_off_is_seen(planted, monkeypatch):
    classifier, images, targets = planted
    monkeypatch.setattr("include.evaluation.explain.STEPS", 1)
    gaps = [one.gap for one in explain_images(classifier, images, targets, ["integrated_gradients"])]
    assert max(gaps) > EXACT["integrated_gradients"]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_input_gives_the_same_output_and_changes_nothing(planted, method):
    classifier, images, targets = planted
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    state = torch.get_rng_state()
    first, second = (explain_images(classifier, images[:3], targets[:3], [method]) for _ in range(2))
    assert all(np.array_equal(one.attribution, other.attribution) for one, other in zip(first, second, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())


def test_images_come_in_order_with_every_method(planted):
    classifier, images, _ = planted
    sizes = [images[0], images[1][:20], images[2][:, :9]]
    found = explain_images(classifier, sizes, [0, 1, 0], list(METHODS))
    assert [(one.image, one.method) for one in found] == [(place, method) for place in range(3) for method in METHODS]
    assert all(np.isfinite(one.attribution).all() for one in found)


def test_a_blank_image_alone_is_explained(planted):
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    found = explain_images(planted[0], [blank], [1], list(METHODS))
    assert all(np.isfinite(one.attribution).all() for one in found)
    assert draw_overlay(blank, found[0]).shape == (SIDE, SIDE, 3)


def test_no_images_need_no_explanation(planted):
    assert explain_images(planted[0], [], [], list(METHODS)) == []


def test_what_cannot_be_explained_is_named(planted):
    classifier, images, _ = planted
    with pytest.raises(ContractViolationError, match="no explanation method guess; there are integrated_gradients"):
        explain_images(classifier, images[:1], [0], ["guess"])
    with pytest.raises(ContractViolationError, match=r"targets \[-1, 2\] are no outputs of a model of 2 classes"):
        explain_images(classifier, images[:3], [0, 2, -1], ["lime"])


def test_an_overlay_is_red_where_something_speaks_for_the_class(planted):
    classifier, images, targets = planted
    one = next(one for one in explain_images(classifier, images, targets, ["occlusion"]) if one.target == 1)
    overlay = draw_overlay(images[one.image], one).astype(int)
    redness = overlay[..., 0] - overlay[..., 2]
    assert redness[PATCH].mean() > redness[:12, 20:].mean() + 50


def test_an_imported_graph_is_explained_without_gradients_as_the_network_it_came_from(planted):
    classifier, images, targets = planted
    mean, std = (getattr(classifier.preprocess, name).flatten().tolist() for name in ("mean", "std"))
    sheet = make_sheet(image_size=SIDE, mean=mean, std=std, classes=("dark", "bright"))
    imported = wrap_graph(export_onnx(classifier.network.eval()), sheet)
    assert list_methods(imported) == ["lime", "occlusion"]
    ours = explain_images(classifier, images, targets, ["lime", "occlusion"])
    theirs = explain_images(imported, images, targets, ["lime", "occlusion"])
    for one, other in zip(ours, theirs, strict=True):
        assert np.allclose(one.attribution, other.attribution, atol=1e-3)
    with pytest.raises(ContractViolationError, match="no explanation method gradient_shap; there are lime, occlusion"):
        explain_images(imported, images, targets, ["gradient_shap"])
