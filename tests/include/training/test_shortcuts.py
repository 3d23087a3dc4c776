import numpy as np
import pytest

from benchmarks.planted_shortcuts import CLASSES, PLANTED, plant
from include.errors import ArtifactNotFoundError
from include.training.giveaways import describe
from include.training.shortcuts import CUES, LEAST, find_shortcuts, judge_cues


def judge(planted):
    rows, labels = planted
    return {one.cue: one for one in judge_cues([describe(row, CLASSES) for row in rows], labels)}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("only", [None, 3])
def test_a_planted_shortcut_is_named(kind, only):
    found = judge(plant(kind, 1, 400, only=only))[kind]
    assert found.suspicious
    assert found.p_value <= 0.01
    assert only is None or found.label == str(only)
    assert only is None or f"to class {only}" in found.observed


@pytest.mark.parametrize("seed", range(5))
def test_clean_digits_pass(seed):
    reports = judge(plant("clean", seed, 400))
    assert set(reports) == set(CUES)
    assert [cue for cue, one in reports.items() if one.suspicious] == []


@pytest.mark.parametrize("kind", ["border", "corners"])
def test_a_rim_that_tells_more_than_the_middle_is_named_though_it_marks_half_of_the_images(kind):
    found = judge(plant(kind, 1, 500, share=0.5, drawn="shapes"))[kind]
    assert found.effect < LEAST[kind][0]
    assert found.suspicious


def test_what_digits_show_is_reported_with_its_size_and_is_no_shortcut():
    border = judge(plant("clean", 0, 600))["border"]
    assert 0.3 < border.effect < 0.6
    assert border.p_value <= 0.01
    assert not border.suspicious


def test_the_strongest_suspect_comes_first_and_what_cannot_be_examined_says_so():
    rows, labels = plant("source", 0, 300)
    reports = judge_cues([describe(row, CLASSES) for row in rows], labels)
    assert reports[0].cue == "source"
    silent = {one.cue: one.observed for one in reports}
    assert silent["jpeg_tables"] == "not examined: no image has it"
    assert silent["dimensions"] == "the same for every image"


def test_labels_dealt_by_chance_are_told_by_no_cue():
    rows, labels = plant("corners", 0, 400)
    alarms = 0
    for seed in range(5):
        dealt = np.random.default_rng(seed).permutation(labels).tolist()
        alarms += sum(one.p_value <= 0.01 for one in judge((rows, dealt)).values())
    assert alarms == 0


@pytest.mark.parametrize("images", [0, 1, 6])
def test_too_few_images_prove_nothing(images):
    rows, labels = plant("border", 0, images)
    reports = judge_cues([describe(row, CLASSES) for row in rows], labels)
    assert len(reports) == len(CUES)
    assert all("not examined: needs two classes" in one.observed and not one.suspicious for one in reports)


@pytest.fixture
def marked(digit_images):
    """Digits that carry their label as a grey square in a corner."""

    def mark(pixels, label):
        pixels = pixels.copy()
        pixels[:5, :5] = 25 * int(label)
        return pixels

    return [(mark(pixels, label), label) for pixels, label in digit_images]


def test_a_dataset_version_is_examined_without_its_test_images(publish, marked, quick_project, store):
    dataset = publish(marked)
    report = find_shortcuts(quick_project, dataset, store)
    assert report.images == 300
    assert report.dataset == dataset
    assert "corners" in {one.cue for one in report.cues if one.suspicious}
    assert any(warning.startswith("corners: alone it tells") for warning in report.warnings)
    assert find_shortcuts(quick_project, dataset, store) == report


def test_a_clean_dataset_version_gives_no_warning(publish, digit_images, quick_project, store):
    assert find_shortcuts(quick_project, publish(digit_images), store).warnings == ()


def test_images_of_one_group_count_once(publish, marked, quick_project, store, monkeypatch):
    def share_group(pixels, label, index, **facts):
        return make_row(pixels, label, index, group=f"specimen-{index // 4}", **facts)

    from tests.include import conftest
    from tests.include.rows import make_row

    monkeypatch.setattr(conftest, "make_row", share_group)
    assert find_shortcuts(quick_project, publish(marked), store).images <= 100


def test_near_duplicates_across_splits_are_counted(publish, digit_images, quick_project, store):
    twice = [pair for pair in digit_images[:80] for _ in range(2)]
    dataset = publish(twice, split=lambda index: ("train", "test")[index % 2])
    report = find_shortcuts(quick_project, dataset, store)
    assert report.straddling == {"train": 80, "validation": 0}
    assert report.left_out
    assert not any("near-duplicates" in one for one in report.warnings)
    blind = quick_project.model_copy(update={"data": quick_project.data.model_copy(update={"near_duplicate_bits": 0})})
    assert "near-duplicates: 80 images" in find_shortcuts(blind, dataset, store).warnings[-1]


@pytest.mark.parametrize("pairs", [[], [(np.zeros((32, 32, 3), np.uint8), None)]])
def test_a_dataset_without_labels_is_not_examined(publish, quick_project, store, pairs):
    report = find_shortcuts(quick_project, publish(pairs), store)
    assert report.images == 0
    assert report.warnings == ()


def test_a_version_that_is_gone_is_an_error(publish, digit_images, quick_project, store):
    dataset = publish(digit_images[:20])
    with pytest.raises(ArtifactNotFoundError, match="no version 9"):
        find_shortcuts(quick_project, dataset.model_copy(update={"version": 9}), store)
