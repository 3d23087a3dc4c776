import re

import numpy as np
import pyarrow as pa
import pytest

from include.data.eda import CLASSES, COLUMNS, PICTURES, find_clusters, render_eda
from include.vision.images import read_rows
from tests.include.data.stored_versions import make_row, write_version

ATTACK = "<script>alert('x')</script>"


@pytest.fixture
def render(project, store):
    def make(rows, **data):
        dataset = write_version(store, rows)
        chosen = project.model_copy(update={"data": project.data.model_copy(update=data)})
        return render_eda(chosen, dataset, read_rows(dataset, store, COLUMNS), store)

    return make


@pytest.fixture
def rows(digit_images):
    days = ("2026-11-02", "2026-11-03")
    splits = ("train", "validation", "test")
    return [
        make_row(pixels, label, day=days[index % 2], split=splits[index % 3])
        for index, (pixels, label) in enumerate(digit_images[:120])
    ]


def test_every_class_is_shown_and_the_page_needs_nobody(render, rows, project):
    page = render(rows)
    assert all(f'<th>{name}</th><td><div class="pictures">' in page for name in project.classes)
    assert page.count('src="data:image/jpeg;base64,') > 100
    assert not re.findall(r"<script|<link|@import|url\(|src=\"(?!data:)|https?:", page)


def test_the_same_version_gives_the_same_bytes(render, rows, store):
    first = render(rows)
    store.remove("digits/images.lance")
    assert render(rows) == first


def test_splits_days_and_sizes_are_counted(render, rows):
    page = render(rows)
    assert page.count("60 images, 60 labelled") == 2
    assert "32 x 32" in page
    train = sum(int(found) for found in re.findall(r'title="(\d+) train, \d+ validation, \d+ test"', page))
    assert train == 40


@pytest.mark.parametrize("name", ["label", "source", "split"])
def test_names_that_came_with_the_data_are_escaped(render, rows, name):
    page = render([row | {name: ATTACK} for row in rows[:20]])
    assert "<script" not in page


def test_twins_that_contradict_each_other_are_shown_first(render, rows, digit_images):
    pixels = digit_images[0][0]
    rows += [
        make_row(np.clip(pixels.astype(int) + shift, 0, 255).astype(np.uint8), label, split=split)
        for shift, label, split in ((3, "7", "train"), (6, "8", "test"))
    ]
    page = render(rows)
    cluster = page[page.index("<h2>Near-duplicates") :]
    assert cluster.index('<span class="chip">3 labels</span>') < cluster.index("<h2>Labels that may be wrong")
    assert '<span class="chip">2 splits</span>' in cluster


def test_clusters_are_joined_from_pairs_and_ordered_by_harm():
    rows = pa.table({"label": ["a", "a", "b", "a", None, "a", "a"], "split": ["train"] * 6 + ["test"]})
    clusters = find_clusters(rows, np.array([[0, 2], [2, 1], [3, 4], [5, 6]]))
    assert [(one.rows, one.labels, one.splits) for one in clusters] == [
        ([0, 1, 2], 2, 1),
        ([5, 6], 1, 2),
        ([3, 4], 1, 1),
    ]
    assert find_clusters(rows, np.empty((0, 2), np.int64)) == []


def test_what_was_not_looked_for_is_said(render, rows):
    assert "<code>data.near_duplicate_bits</code> is 0" in render(rows, near_duplicate_bits=0)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_images_still_make_a_page(render, rows, count):
    page = render(rows[:count])
    assert "Not judged: needs two classes" in page
    assert f"{count} images" in page


def test_images_without_any_label_have_their_own_row(render, rows):
    page = render([row | {"label": None} for row in rows[:9]])
    assert "<th>no label</th>" in page
    assert "no image of this class" in page


def test_a_thousand_classes_make_a_page_of_bounded_size(project, store, rows):
    many = project.model_copy(update={"classes": tuple(f"class-{number:03d}" for number in range(1000))})
    dataset = write_version(store, [row | {"label": f"class-{index:03d}"} for index, row in enumerate(rows)])
    page = render_eda(many, dataset, read_rows(dataset, store, COLUMNS), store)
    samples = page[: page.index("<h2>Class balance")]
    assert samples.count("<img") <= PICTURES
    assert f"And {1000 - CLASSES} more classes" in samples
