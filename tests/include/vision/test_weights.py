import json
import pickle

import pytest
import torch

from include import tracking
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.project import TrainingConfig
from include.vision import weights
from include.vision.networks import build_classifier
from include.vision.weights import load_classifier, save_classifier, save_graph
from tests.include.foreign_models import export_onnx, make_network, make_sheet

CLASSES = ("cat", "dog", "ferret")


@pytest.fixture
def classifier():
    classifier = build_classifier(TrainingConfig(), len(CLASSES))
    classifier.preprocess.mean.fill_(0.31)
    return classifier


def test_a_saved_classifier_answers_the_same_when_loaded(classifier, tmp_path):
    digest = save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path)
    loaded, classes = load_classifier(tmp_path)
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    assert classes == CLASSES
    assert not loaded.training
    assert torch.equal(loaded(images), classifier.eval()(images))
    assert digest == save_classifier(loaded, TrainingConfig(), CLASSES, tmp_path / "again")


def test_other_classes_give_another_digest(classifier, tmp_path):
    first = save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path / "a")
    assert first != save_classifier(classifier, TrainingConfig(), CLASSES[::-1], tmp_path / "b")


def test_swapped_class_names_are_noticed(classifier, tmp_path):
    save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["classes"].reverse()
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ContractViolationError, match="does not belong"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_file_is_named(classifier, tmp_path, name):
    save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactNotFoundError, match=name):
        load_classifier(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, pickle.dumps({"a": 1})], ids=["empty", "noise", "pickle"])
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_damaged_files_are_refused(classifier, tmp_path, name, damage):
    save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(ContractViolationError, match="not a saved model"):
        load_classifier(tmp_path)


def test_weights_cut_short_are_refused(classifier, tmp_path):
    save_classifier(classifier, TrainingConfig(), CLASSES, tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ContractViolationError, match="not a saved model"):
        load_classifier(tmp_path)


def test_tracking_looks_for_the_file_that_is_written():
    assert tracking.WEIGHTS == weights.WEIGHTS


def test_an_imported_graph_is_kept_in_the_same_two_files(tmp_path):
    data = export_onnx(make_network())
    digest = save_graph(data, make_sheet(), tmp_path)
    loaded, classes = load_classifier(tmp_path)
    assert (loaded.network.data, loaded.network.sheet, classes) == (data, make_sheet(), make_sheet().classes)
    assert not loaded.training
    assert save_graph(data, make_sheet(trained_by="somebody"), tmp_path / "other") != digest
    (tmp_path / "model.json").write_text((tmp_path / "other" / "model.json").read_text())
    with pytest.raises(ContractViolationError, match="does not belong"):
        load_classifier(tmp_path)
