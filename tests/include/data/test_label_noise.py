import cv2
import numpy as np
import pytest

from include.data.label_noise import MAX_ROWS, MIN_GROUPS, find_label_noise


@pytest.fixture(scope="module")
def digits(digit_images):
    embedding = np.stack([cv2.resize(pixels, (16, 16))[..., 0].ravel() for pixels, _ in digit_images])
    return embedding, [label for _, label in digit_images]


def own_groups(labels):
    return [f"specimen-{row}" for row in range(len(labels))]


def test_planted_mistakes_are_found_and_named(digits):
    embedding, labels = digits
    wrong = {row: str((int(labels[row]) + 5) % 10) for row in range(7, 400, 40)}
    given = [wrong.get(row, label) for row, label in enumerate(labels)]
    noise = find_label_noise(given, own_groups(given), embedding)
    found = {suspect.row: suspect for suspect in noise.suspects}
    assert noise.silent == ""
    assert noise.examined == 400
    assert len(found.keys() & wrong.keys()) >= 6
    assert len(found.keys() - wrong.keys()) <= 4
    assert all(found[row].label == given[row] for row in found)
    assert sum(found[row].likely == labels[row] for row in found.keys() & wrong.keys()) >= 5
    scores = [suspect.score for suspect in noise.suspects]
    assert scores == sorted(scores)


def test_images_of_one_group_do_not_vouch_for_each_other(digits):
    embedding, labels = digits
    specimen = embedding[:1].repeat(12, axis=0)
    given = [*labels, *[str((int(labels[0]) + 4) % 10)] * 12]
    groups = [*own_groups(labels), *["specimen-wrong"] * 12]
    noise = find_label_noise(given, groups, np.concatenate([embedding, specimen]))
    assert len({suspect.row for suspect in noise.suspects} & set(range(400, 412))) >= 10


def test_the_same_rows_give_the_same_suspects(digits):
    embedding, labels = digits
    given = ["1", *labels[1:]]
    assert find_label_noise(given, own_groups(given), embedding) == find_label_noise(
        given, own_groups(given), embedding
    )


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([], id="nothing"),
        pytest.param([None] * 40, id="no-labels"),
        pytest.param(["cat"] * 40, id="one-class"),
        pytest.param(["cat"] * 40 + ["dog"] * (MIN_GROUPS - 1), id="too-few-of-the-other"),
    ],
)
def test_too_little_to_judge_by_is_said(labels):
    noise = find_label_noise(labels, own_groups(labels), np.zeros((len(labels), 256), np.uint8))
    assert noise.suspects == ()
    assert "two classes" in noise.silent


def test_many_images_of_few_groups_are_too_little(digits):
    embedding, labels = digits
    noise = find_label_noise(labels, ["specimen"] * len(labels), embedding)
    assert "groups" in noise.silent


def test_a_model_that_is_mostly_wrong_accuses_nobody():
    random = np.random.default_rng(0)
    labels = [str(label) for label in random.integers(0, 10, 300)]
    noise = find_label_noise(labels, own_groups(labels), random.integers(0, 256, (300, 256), np.uint8))
    assert noise.suspects == ()
    assert "its doubts would mean nothing" in noise.silent


def test_rows_without_a_label_and_rare_classes_are_left_out(digits):
    embedding, labels = digits
    given = [None, "rare", *labels[2:]]
    noise = find_label_noise(given, own_groups(given), embedding)
    assert noise.examined == 398
    assert not {0, 1} & {suspect.row for suspect in noise.suspects}


def test_a_large_dataset_is_judged_by_its_first_rows(digits):
    embedding, labels = digits
    times = MAX_ROWS // 400 + 1
    given = labels * times
    assert find_label_noise(given, own_groups(given), np.tile(embedding, (times, 1))).examined == MAX_ROWS
