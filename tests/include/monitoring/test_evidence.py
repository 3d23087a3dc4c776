from datetime import timedelta

import numpy as np
import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import CLASSES, END, START, log_window, publish_images, publish_release
from include.monitoring import evidence as gathering
from include.monitoring.evidence import gather_evidence, read_answers, read_labels
from include.predictions import append_rows
from tests.include.monitoring.plain_network import plain_ground


@pytest.fixture
def ground():
    return plain_ground()


@pytest.fixture
def drift(ground, store):
    release = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)
    publish_images(ground.certified, ground.project, store)
    return log_window(plant("new_class", ground.live, 0)[0], ground.graph, release, ground.project, store, 50)


def test_window_reference_and_known_images_stand_side_by_side(ground, store, drift):
    found = gather_evidence(ground.project, drift, store)
    assert len(found.window) == found.rows.num_rows == 200
    assert len(found.reference) == len(ground.certified.images) == len(found.reference_labels)
    assert (found.reference_labels == ground.certified.labels).all()
    assert found.window.statistics.shape[1] == found.reference.statistics.shape[1] == len(found.lens.names)
    assert found.labelled.sum() == 50
    assert found.classes == CLASSES


def test_a_label_that_is_no_class_came_all_the_same(ground, store, drift):
    labels, labelled = read_labels(read_answers(ground.project, drift, store), ground.project, drift, CLASSES, store)
    assert ((labels == -1) & labelled).any()
    assert (labels[~labelled] == -1).all()
    assert set(labels[labels >= 0]) <= set(range(9))


def test_only_what_the_release_in_service_said_counts(ground, store, drift):
    (row,) = read_answers(ground.project, drift, store).slice(0, 1).to_pylist()
    others = [
        {"answered_by": "candidate"},
        {"answered_by": "baseline"},
        {"release": "sha256:" + "0" * 64},
        {"time": END},
        {"time": START - timedelta(seconds=1)},
        {"probabilities": []},
        {"probabilities": None},
    ]
    rows = [row | {"request_id": f"other-{place}"} | other for place, other in enumerate(others)]
    append_rows(store, "predictions", "others", rows)
    found = read_answers(ground.project, drift, store)
    assert found.num_rows == 200
    assert not any(one.startswith("other") for one in found["request_id"].to_pylist())


def test_of_very_many_answers_some_spread_over_the_window_are_taken(ground, store, drift, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_ROWS", 20)
    found = read_answers(ground.project, drift, store)
    seconds = np.array([(one - START).total_seconds() for one in found["time"].to_pylist()])
    assert found.num_rows == 20
    assert (seconds[0], seconds[-1]) == (0, 199)


def test_nothing_answered_is_no_evidence(ground, store, drift):
    later = drift.model_copy(update={"start": END, "end": END + timedelta(hours=1)})
    assert gather_evidence(ground.project, later, store) is None
    assert gather_evidence(ground.project, drift.model_copy(update={"release": None}), store) is None
