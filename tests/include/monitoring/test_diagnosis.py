import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import END, START, Window, log_window, publish_images, publish_release
from include.contracts import DiagnosisReport, DriftReport, PerformanceReport
from include.monitoring import diagnosis as diagnosing
from include.monitoring.causes import Explanation
from include.monitoring.diagnosis import diagnose, weigh
from include.predictions import append_rows
from include.storage import digest_bytes
from tests.include.monitoring.plain_network import plain_ground


@pytest.fixture
def ground():
    return plain_ground()


@pytest.fixture
def send(ground, store):
    """Give a function that answers a window, and returns what drift says of it."""
    release = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)
    publish_images(ground.certified, ground.project, store)
    return lambda window, labelled=0: log_window(window, ground.graph, release, ground.project, store, labelled)


@pytest.fixture
def examine(ground, store, send):
    """Give a function that plants a cause and returns its diagnosis."""

    def run(cause: str, seed: int, labelled: int = 0) -> DiagnosisReport:
        return diagnose(ground.project, 7, send(plant(cause, ground.live, seed)[0], labelled), None, store)

    return run


@pytest.mark.parametrize(
    ("cause", "seed", "named"),
    [
        ("camera_fault", 2, "camera: dead pixels"),
        ("lighting", 0, "light: less light"),
        ("geometry", 2, "geometry: too far away"),
    ],
)
def test_the_cause_is_named_and_the_loss_foretold_without_a_label(examine, ground, cause, seed, named):
    found = examine(cause, seed)
    assert (found.cause, found.episode, found.project) == (cause, 7, "digits")
    assert found.name.startswith(named)
    assert sum(found.scores.values()) == pytest.approx(1)
    assert max(found.scores, key=found.scores.__getitem__) == cause
    assert len(set(found.examples)) == 12
    window, _ = plant(cause, ground.live, seed)
    answers = ground.graph.run(["probabilities"], {"images": np.stack(window.images)})[0].argmax(axis=1)
    assert found.accuracy == pytest.approx((answers == window.labels).mean(), abs=0.2)
    assert found.attainable >= found.accuracy


def test_new_shares_are_told(examine, ground):
    found = examine("class_prior", 1)
    window, _ = plant("class_prior", ground.live, 1)
    true = np.bincount(window.labels, minlength=9) / len(window.labels)
    assert found.cause == "class_prior"
    assert [found.priors[name] for name in ground.project.classes] == pytest.approx(true, abs=0.08)


def test_a_fault_of_some_cameras_is_no_new_class(ground, store, send):
    (worn, _), (healthy, _) = plant("worn lens", ground.live, 0), plant("label_noise", ground.live, 0)
    window = Window(worn.images[:80] + healthy.images[80:], healthy.labels, healthy.said)
    found = diagnose(ground.project, 1, send(window), None, store)
    assert found.cause == "camera_fault"
    assert found.name.startswith("camera: blurred lens")


@pytest.mark.parametrize("cause", ["label_noise", "concept_change"])
def test_labels_are_doubted_where_images_look_as_ever(examine, cause):
    assert examine(cause, 3, labelled=100).cause == cause


def test_labels_that_contradict_a_blinded_model_do_not_talk_its_blindness_down():
    seen, doubted = explain("camera_fault", 0.78), explain("label_noise", 0.93)
    assert [(one.cause, weight) for one, weight in weigh([doubted, seen])] == [
        ("camera_fault", 0.78), ("label_noise", pytest.approx(0.93 * 0.22)),
    ]  # fmt: skip
    assert weigh([doubted]) == [(doubted, 0.93)]


def explain(cause, share):
    return Explanation(cause=cause, name=cause, share=share, evidence="", accuracy=0.5, attainable=0.9)


def test_without_labels_nobody_knows_of_their_trouble(examine):
    found = examine("concept_change", 3)
    assert found.cause == "unknown"
    assert found.accuracy is None
    assert "do not differ" in found.evidence[-1]


def test_twice_is_the_same(ground, store, send):
    drift = send(plant("label_noise", ground.live, 1)[0], labelled=60)
    assert diagnose(ground.project, 1, drift, None, store) == diagnose(ground.project, 1, drift, None, store)


def test_golden_images_do_where_the_dataset_is_gone(ground, store):
    release = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)
    window, _ = plant("lighting", ground.live, 0)
    drift = log_window(window, ground.graph, release, ground.project, store, 0)
    assert diagnose(ground.project, 1, drift, None, store).cause == "lighting"


def test_the_certified_accuracy_is_the_yardstick(ground, store, send):
    drift = send(plant("label_noise", ground.live, 0)[0], labelled=100)
    performance = PerformanceReport(project="digits", start=START, end=END, predictions=200, labelled=0, certified=0.5)
    assert diagnose(ground.project, 1, drift, None, store).cause == "label_noise"
    assert diagnose(ground.project, 1, drift, performance, store).cause == "unknown"


def test_a_release_that_is_gone_leaves_the_cause_unknown(ground, store, send):
    drift = send(plant("lighting", ground.live, 0)[0])
    found = diagnose(ground.project, 1, drift.model_copy(update={"release": digest_bytes(b"gone")}), None, store)
    assert found.cause == "unknown"
    assert found.evidence == ("no model answered in the window",)
    (address,) = {one.rpartition("/")[0] for one in store.list("digits/releases", "release.json")}
    store.remove(address)
    found = diagnose(ground.project, 1, drift, None, store)
    assert found.scores["unknown"] == 1
    assert "nothing to compare with: no release" in found.evidence[0]


def test_an_empty_window_is_no_error(ground, store):
    empty = DriftReport(
        project="digits", start=START, end=END, release=None, verdict="insufficient", predictions=0, summary=""
    )
    assert diagnose(ground.project, 1, empty, None, store).cause == "unknown"


@pytest.mark.parametrize("size", [1, 3])
def test_few_answers_are_no_error(ground, store, send, size, monkeypatch):
    monkeypatch.setattr(diagnosing, "TRYING_SECONDS", 0.5)
    window, _ = plant("lighting", ground.live, 0)
    drift = send(Window(window.images[:size], window.labels[:size], window.said[:size]), labelled=size)
    assert diagnose(ground.project, 1, drift, None, store).scores


def test_it_ends_when_its_time_is_over(ground, store, send, monkeypatch):
    drift = send(plant("geometry", ground.live, 2)[0])
    monkeypatch.setattr(diagnosing, "TRYING_SECONDS", 0.0)
    began = time.monotonic()
    found = diagnose(ground.project, 1, drift, None, store)
    assert time.monotonic() - began < 10
    assert found.cause in {"unknown", "class_prior", "new_class"}


def test_an_old_release_without_embeddings_in_its_reference(ground, store, send):
    drift = send(plant("lighting", ground.live, 0)[0])
    (address,) = store.list("digits/releases", "reference.parquet")
    bare = pq.read_table(store.path(address)).select(["brightness", "contrast", "predicted"])
    old = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store, bare)
    rows = pq.read_table(store.path(store.list("digits/predictions")[0]))
    moved = rows.set_column(rows.schema.get_field_index("release"), "release", [[old] * rows.num_rows]).to_pylist()
    append_rows(store, "predictions", "old", [row | {"request_id": f"old-{row['request_id']}"} for row in moved])
    assert diagnose(ground.project, 1, drift.model_copy(update={"release": old}), None, store).cause == "lighting"
