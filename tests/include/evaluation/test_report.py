import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from include.contracts import BudgetReport, DatasetRef, ModelRef
from include.evaluation.behaviour import measure_behaviour
from include.evaluation.evaluate import measure
from include.evaluation.report import page_address, publish_page, render_page
from include.evaluation.slices import SLICE_COLUMNS
from include.storage import digest_bytes
from include.vision.images import ImageSet

KEY = digest_bytes(b"key")
DATASET = DatasetRef(project="letters", address="a", version=1, digest=KEY, images=6, labelled=6)
MODEL = ModelRef(project="letters", key=KEY, run_id="run", weights=KEY, dataset=DATASET)


@pytest.fixture
def letters(project, answers):
    return project.model_copy(update={"name": "letters", "title": "Letters", "classes": answers.classes})


@pytest.fixture
def test_images(answers):
    images = [np.full((8, 8, 3), 40 * index, dtype=np.uint8) for index in range(6)]
    return ImageSet(images, list(answers.labels), [digest_bytes(bytes([i])) for i in range(6)], ["2026-03-01"] * 6, [])


@pytest.fixture
def make_report(letters, test_images):
    def make(answers):
        rows = pa.table({"label": answers.labels, **{name: [None] * 6 for name in SLICE_COLUMNS if name != "label"}})
        report = measure(MODEL, test_images, rows, answers, letters)
        behaviour = measure_behaviour(
            lambda images: np.zeros(len(images), int), test_images.images, [0] * 6, flips=True
        )
        return report.model_copy(update={"measures": report.measures | behaviour, "page": page_address(report)})

    return make


def test_the_page_shows_the_surest_mistakes_first(make_report, answers, letters, test_images):
    page = render_page(make_report(answers), test_images, answers, letters)
    mistakes = re.findall(r"is <b>(.)</b>, called <b class=\"bad\">(.)</b> with ([\d.]+)", page)
    assert mistakes == [("a", "b", "60.0"), ("c", "a", "50.0")]
    assert page.index("Mistakes it was surest of") < page.index("Measures")
    assert "2 of 6 answers are wrong" in page


def test_the_page_shows_every_measure_slice_and_kind_of_damage(make_report, answers, letters, test_images):
    report = make_report(answers)
    page = render_page(report, test_images, answers, letters)
    for name in ("accuracy", "auc_roc", "log_loss", "expected_cost", "gap_by_class", "worst_slice_accuracy"):
        assert f'<code>{name}</code></th><td class="right">{report.measures[name]:.4f}' in page
    for text in (
        "by_class",
        "noise",
        "jpeg",
        "flip 100.0 %",
        "a called b 1x",
        "Not measured: the project file has no budget",
    ):
        assert text in page


def test_nothing_is_fetched_and_nothing_runs(make_report, answers, letters, test_images):
    hostile = replace(
        answers,
        classes=("<script>alert(1)</script>", *answers.classes[1:]),
        labels=["<script>alert(1)</script>" if one == "a" else one for one in answers.labels],
    )
    project = letters.model_copy(update={"classes": hostile.classes})
    images = replace(test_images, labels=list(hostile.labels))
    rows = pa.table({"label": hostile.labels, **{name: [None] * 6 for name in SLICE_COLUMNS if name != "label"}})
    report = measure(MODEL, images, rows, hostile, project)
    report = report.model_copy(update={"measures": make_report(answers).measures | report.measures})
    page = render_page(report, images, hostile, project)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []


def test_what_is_over_budget_is_said(make_report, answers, letters, test_images):
    budget = BudgetReport(
        latency_ms=9, images_per_second=10, model_mb=1, memory_mb=2, exceeded=("latency_ms 9 is above",)
    )
    report = make_report(answers).model_copy(update={"budget": budget})
    assert "latency_ms 9 is above" in render_page(report, test_images, answers, letters)


def test_a_model_without_mistakes_has_a_page_too(make_report, answers, letters, test_images):
    perfect = replace(answers, predicted=list(answers.labels))
    assert "all 6 answers are right" in render_page(make_report(perfect), test_images, perfect, letters)


def test_the_page_is_kept_by_model_and_test_images(make_report, answers, letters, test_images, store):
    report = make_report(answers)
    publish_page(report, test_images, answers, letters, store)
    assert report.page == f"letters/reports/evaluation/{KEY[7:19]}-{report.test_digest[7:19]}/index.html"
    assert store.read(report.page).decode() == render_page(report, test_images, answers, letters)
