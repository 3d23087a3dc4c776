import logging

import pytest
import torch

from include.contracts import DatasetRef, ModelRef, ModelVersionRef
from include.ledger.models import move_alias, record_model_version
from include.storage import digest_bytes
from include.training.warm_start import begin_from_champion
from include.vision.networks import build_classifier
from include.vision.pretrained import load_pretrained
from include.vision.weights import save_classifier

KEY = digest_bytes(b"champion")


class PlayedTracking:
    """Has the champion's files in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def fetch_candidate(self, _):
        return self.folder


@pytest.fixture
def crown(project, ledger, tmp_path):
    """Give a function that makes a model of some classes the champion."""

    def make(classes=project.classes):
        torch.manual_seed(5)
        classifier = build_classifier(project.training, len(classes))
        weights = save_classifier(classifier, project.training, classes, tmp_path)
        dataset = DatasetRef(project="digits", address="a", version=1, digest=KEY, images=9, labelled=9)
        model = ModelRef(project="digits", key=KEY, run_id="run", weights=weights, dataset=dataset)
        record_model_version(ledger, ModelVersionRef(model=model, version=1, accuracy=0.9))
        move_alias(ledger, "digits", "champion", expected=None, version=1, reason="first")
        return classifier, PlayedTracking(tmp_path)

    return make


@pytest.fixture
def warm(project):
    return project.model_copy(update={"training": project.training.model_copy(update={"mode": "warm_start"})})


def test_it_begins_with_the_champions_weights_and_its_head(warm, ledger, crown):
    champion, tracking = crown()
    begun = begin_from_champion(warm, ledger, tracking)
    assert begun.training.mode == "warm_start"
    fresh = build_classifier(begun.training, len(begun.classes))
    load_pretrained(fresh, begun.training)
    for name, tensor in champion.network.state_dict().items():
        assert torch.equal(fresh.network.state_dict()[name], tensor), name


def test_other_modes_begin_from_nothing(project, ledger, crown):
    _, tracking = crown()
    assert begin_from_champion(project, ledger, tracking) == project


def test_without_a_fitting_champion_it_is_trained_in_full_and_says_so(warm, ledger, crown, caplog):
    caplog.set_level(logging.WARNING)
    begun = [begin_from_champion(warm, ledger, PlayedTracking(None))]
    begun += [begin_from_champion(warm, ledger, crown(classes=("a", "b", "c"))[1])]
    assert [(one.training.mode, one.training.weights) for one in begun] == [("full", "")] * 2
    assert caplog.text.count("training in full") == 2
