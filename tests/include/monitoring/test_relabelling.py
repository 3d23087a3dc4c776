import re

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.planted_causes import plant
from benchmarks.planted_release import START, log_window, publish_release
from include.contracts import NONE_OF_THESE, DriftReport
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.ledger.episodes import close_episodes, open_episode
from include.ledger.incidents import find_incident
from include.monitoring.evidence import read_answers
from include.monitoring.relabelling import Labelling, choose_images, choose_rows, record_labels, report_labels
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
    answers = {row["request_id"]: row["predicted"] for row in read_answers(ground.project, drift, store).to_pylist()}
    found = Labelling(3, 0, sum(answers[request] != label for request, label in labels.items()))
    assert record_labels(ground.project, labels, drift, store) == found
    assert record_labels(ground.project, labels, drift, store) == found
    feedback = read_feedback(store, "digits", START).to_pylist()
    assert {row["request_id"]: row["label"] for row in feedback if row["request_id"] in labels} == labels
    assert len(store.list("digits/feedback", "people-*")) in {1, 2}
    assert record_labels(ground.project, {}, drift, store) == Labelling(0, 0, 0)


def test_an_image_of_none_of_the_classes_is_counted_and_gets_no_label(ground, store, drift):
    first, second, third = choose_images(ground.project, 3, drift, store, 3).requests
    answers = {row["request_id"]: row["predicted"] for row in read_answers(ground.project, drift, store).to_pylist()}
    other = next(name for name in ground.project.classes if name != answers[second])
    said = {first: NONE_OF_THESE, second: other, third: answers[third]}
    assert record_labels(ground.project, said, drift, store) == Labelling(labelled=3, none=1, wrong=1)
    assert first not in read_feedback(store, "digits", START)["request_id"].to_pylist()


def test_the_owner_hears_once_what_people_said(ledger, project):
    window = {"project": "digits", "start": START, "end": START, "release": None, "predictions": 90}
    episode = open_episode(ledger, DriftReport(**window, verdict="drift", summary="drift"))
    told = [report_labels(project, episode, Labelling(20, 12, 5), 24, ledger, run) for run in ("run 1", "run 1")]
    incident = find_incident(ledger, told[0])
    assert told == [incident.id] * 2
    assert incident.title == (
        f"20 of 24 images of episode {episode} were labelled: 12 none of the classes, 5 of 8 answers wrong"
    )
    assert (incident.kind, incident.owner, incident.runbook) == (
        "drift",
        project.owner,
        "docs/runbook.md#drift-episodes",
    )
    close_episodes(ledger, "digits")
    assert find_incident(ledger, incident.id).state == "resolved"
    assert report_labels(project, episode, Labelling(20, 12, 5), 24, ledger, "run 2") is None


def test_a_label_that_is_no_class_is_refused_whole(ground, store, drift):
    with pytest.raises(ContractViolationError, match="'eleven' is no class of digits; classes are 0, 1"):
        record_labels(ground.project, {"a": "1", "b": "eleven"}, drift, store)
    assert store.list("digits/feedback", "people-*") == []
