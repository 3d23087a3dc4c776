import re

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import START, log_window, publish_release
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.monitoring.evidence import read_answers
from include.monitoring.relabelling import choose_images, choose_rows, record_labels
from include.predictions import append_rows, read_feedback
from include.vision.decoding import encode_canonical
from tests.include.monitoring.plain_network import plain_ground

KEPT = 60


@pytest.fixture
def ground():
    return plain_ground()


@pytest.fixture
def drift(ground, store):
    """A window of which every image was kept, and ten are labelled."""
    window, _ = plant("new_class", ground.live, 0)
    release = publish_release(ground.graph, ground.serialized, ground.certified, ground.project, store)
    drift = log_window(window, ground.graph, release, ground.project, store, 10)
    rows = read_answers(ground.project, drift, store).to_pylist()
    for row, image in zip(rows[:KEPT], window.images, strict=False):
        store.write(f"digits/images/served/{row['request_id']}", encode_canonical(image))
        row["image"] = f"digits/images/served/{row['request_id']}"
    append_rows(store, "predictions", "planted", rows)
    return drift


def test_people_get_numbered_pictures_of_what_nobody_has_labelled(ground, store, drift):
    choice = choose_images(ground.project, 3, drift, store, 12)
    page = store.read(choice.page).decode()
    assert len(set(choice.requests)) == 12
    assert {int(one.removeprefix("request-")) for one in choice.requests} <= set(range(10, KEPT))
    assert page.count("data:image/png;base64,") == 12
    assert [page.index(f">{one}<") for one in choice.requests] == sorted(
        page.index(f">{one}<") for one in choice.requests
    )
    assert re.fullmatch(r"digits/reports/relabelling/3-[0-9a-f]{16}/index\.html", choice.page)
    assert not re.search(r"(src|href)=\"?https?:", page)


def test_the_same_window_gives_the_same_choice(ground, store, drift):
    assert choose_images(ground.project, 3, drift, store, 5) == choose_images(ground.project, 3, drift, store, 5)


def test_fewer_images_than_asked_for_are_all_taken(ground, store, drift):
    assert len(choose_images(ground.project, 3, drift, store, 200).requests) == KEPT - 10


def test_a_window_without_images_says_what_to_set(ground, store, drift):
    rows = read_answers(ground.project, drift, store).to_pylist()
    append_rows(store, "predictions", "planted", [row | {"image": None} for row in rows])
    with pytest.raises(ArtifactNotFoundError, match=r"deployment\.recording\.image_share of digits"):
        choose_images(ground.project, 3, drift, store, 5)


def test_images_that_are_gone_are_not_shown(ground, store, drift):
    first = choose_images(ground.project, 3, drift, store, 5)
    store.remove(f"digits/images/served/{first.requests[0]}")
    assert first.requests[0] not in choose_images(ground.project, 3, drift, store, 5).requests


def test_the_unsure_and_unlike_are_chosen():
    random = np.random.default_rng(5)
    sure = np.tile([0.98, 0.01, 0.01], (300, 1))
    unsure = np.tile([0.4, 0.35, 0.25], (30, 1))
    groups = np.repeat(np.eye(3) * 20, 10, axis=0) + random.normal(size=(30, 3))
    rows = pa.table(
        {
            "probabilities": [*sure.tolist(), *unsure.tolist()],
            "embedding": [*np.zeros((300, 3)).tolist(), *groups.tolist()],
        }
    )
    chosen = choose_rows(rows, 3)
    assert sorted((chosen - 300) // 10) == [0, 1, 2]


def test_twins_fill_up_without_a_repeat():
    rows = pa.table({"probabilities": [[0.5, 0.5]] * 40, "embedding": [[1.0, 1.0]] * 40})
    assert len(set(choose_rows(rows, 6).tolist())) == 6


def test_labels_of_people_are_feedback_once(ground, store, drift):
    requests = choose_images(ground.project, 3, drift, store, 3).requests
    labels = dict(zip(requests, ("1", "2", "3"), strict=True))
    assert record_labels(ground.project, labels, store) == 3
    assert record_labels(ground.project, labels, store) == 3
    feedback = read_feedback(store, "digits", START).to_pylist()
    assert {row["request_id"]: row["label"] for row in feedback if row["request_id"] in labels} == labels
    assert len(store.list("digits/feedback", "people-*")) in {1, 2}
    assert record_labels(ground.project, {}, store) == 0


def test_a_label_that_is_no_class_is_refused_whole(ground, store):
    with pytest.raises(ContractViolationError, match="'eleven' is no class of digits; classes are 0, 1"):
        record_labels(ground.project, {"a": "1", "b": "eleven"}, store)
    assert store.list("digits/feedback") == []
