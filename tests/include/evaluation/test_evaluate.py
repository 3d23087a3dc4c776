import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import DatasetRef, ModelRef
from include.errors import ContractViolationError, DataQualityError, ServiceUnavailableError
from include.evaluation.evaluate import evaluate_model, measure
from include.evaluation.slices import SLICE_COLUMNS
from include.storage import digest_bytes
from include.tracking import calibration_path, confusion_path, evaluation_folder
from include.vision.graphs import graph_address
from include.vision.images import ImageSet, read_sealed_split, split_digest
from include.vision.networks import build_classifier
from include.vision.weights import save_classifier


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images)


@pytest.fixture
def make_model(quick_project, tracking, dataset, tmp_path):
    """Put an untrained model of given classes into MLflow."""

    def make(classes=quick_project.classes):
        folder = tmp_path / "model"
        weights = save_classifier(
            build_classifier(quick_project.training, len(classes)), quick_project.training, classes, folder
        )
        with tracking.connect() as client:
            run_id = client.create_run(tracking.find_experiment(quick_project.name)).info.run_id
            client.log_artifacts(run_id, str(folder), "model")
        key = digest_bytes(run_id.encode())
        return ModelRef(project=quick_project.name, key=key, run_id=run_id, weights=weights, dataset=dataset)

    return make


@pytest.fixture
def evaluate(quick_project, store, tracking):
    return lambda model, dataset: evaluate_model(model, dataset, quick_project, store, tracking)


def test_measures_the_sealed_test_split_only(make_model, evaluate, dataset, store, quick_project):
    report = evaluate(make_model(), dataset)
    test, _ = read_sealed_split(dataset, store, [])
    assert report.images == len(test.labels) == 100
    assert report.test_digest == split_digest(test)
    assert set(report.accuracy_by_partition) == set(test.partitions) == {"2026-03-01", "2026-03-02"}
    assert report.worst_class_recall == min(report.recall_by_class.values())


def test_the_same_model_measures_the_same_twice(make_model, evaluate, dataset):
    model = make_model()
    assert evaluate(model, dataset) == evaluate(model, dataset)


def test_two_datasets_stand_beside_each_other(make_model, evaluate, dataset, publish, digit_images, tracking):
    model = make_model()
    reports = [evaluate(model, dataset), evaluate(model, publish(digit_images[:240]))]
    with tracking.connect() as client:
        metrics = client.get_run(model.run_id).data.metrics
    for report in reports:
        folder = evaluation_folder(report.test_digest)
        assert metrics[f"{folder}/accuracy"] == pytest.approx(report.accuracy)
        assert metrics[f"{folder}/images"] == report.images
        assert metrics[f"{folder}/calibration_error"] == pytest.approx(report.measures["calibration_error"])
        for path in (confusion_path(report.test_digest), calibration_path(report.test_digest)):
            assert tracking.read_artifact(model.run_id, path).startswith(b"\x89PNG")
        assert json.loads(tracking.read_artifact(model.run_id, f"{folder}/report.json")) == report.model_dump(
            mode="json"
        )


def test_a_champion_of_older_classes_misses_the_new_one(make_model, evaluate, dataset, quick_project):
    report = evaluate(make_model(quick_project.classes[:-1]), dataset)
    assert report.recall_by_class[quick_project.classes[-1]] == 0
    assert report.worst_class_recall == 0


def test_answers_to_single_images_are_kept(make_model, evaluate, dataset, store):
    report = evaluate(make_model(), dataset)
    test, _ = read_sealed_split(dataset, store, [])
    table = pq.read_table(io.BytesIO(store.read(report.answers)))
    assert table["digest"].to_pylist() == test.digests
    assert table["group"].to_pylist() == test.groups
    assert table["label"].to_pylist() == test.labels
    right = np.array(table["predicted"].to_pylist()) == np.array(test.labels)
    assert right.mean() == pytest.approx(report.accuracy)
    np.testing.assert_allclose([sum(row) for row in table["probabilities"].to_pylist()], 1, atol=1e-5)


def test_every_kind_of_measure_is_there(make_model, evaluate, dataset):
    measures = evaluate(make_model(), dataset).measures
    assert {"accuracy", "auc_roc", "f1_3", "gap_by_class", "worst_slice_accuracy", "invariance_shift"} < set(measures)
    assert {"robustness_noise_1", "robustness_jpeg_3", "robustness"} < set(measures)
    assert "invariance_flip" not in measures


def test_a_budget_is_measured_where_there_is_one(make_model, dataset, quick_project, store, tracking):
    model = make_model()
    evaluation = quick_project.evaluation.model_copy(update={"max_model_mb": 0.001})
    project = quick_project.model_copy(update={"evaluation": evaluation})
    report = evaluate_model(model, dataset, project, store, tracking)
    assert report.budget.latency_ms > 0
    assert [reason.split()[0] for reason in report.budget.exceeded] == ["model_mb"]
    # What was measured is what will be certified and released.
    assert report.budget.model_mb == pytest.approx(len(store.read(graph_address(model))) / 1e6)
    assert evaluate_model(model, dataset, quick_project, store, tracking).budget is None


def test_numbers_of_a_small_case_by_hand(answers, quick_project):
    digest = digest_bytes(b"x")
    dataset = DatasetRef(project="p", address="a", version=1, digest=digest, images=6, labelled=6)
    model = ModelRef(project="p", key=digest, run_id="r", weights=digest, dataset=dataset)
    partitions = ["2026-03-01", "2026-03-01", "2026-03-01", "2026-03-02", "2026-03-02", "2026-03-02"]
    test = ImageSet([], list(answers.labels), list("123456"), partitions, [])
    rows = pa.table({"label": answers.labels, **{name: [None] * 6 for name in SLICE_COLUMNS if name != "label"}})
    project = quick_project.model_copy(update={"classes": answers.classes})
    report = measure(model, test, rows, answers, project)
    assert report.accuracy == pytest.approx(4 / 6)
    assert report.recall_by_class == {"a": 0.5, "b": 1.0, "c": 0.5}
    assert report.accuracy_by_partition == {"2026-03-01": pytest.approx(2 / 3), "2026-03-02": pytest.approx(2 / 3)}
    assert report.measures["gap_by_class"] == 0.5
    assert [(one.value, one.accuracy) for one in report.slices] == [("a", 0.5), ("c", 0.5), ("b", 1.0)]


def test_an_empty_test_split_is_no_pass(make_model, evaluate, publish, digit_images):
    unsealed = publish(digit_images, split=lambda _: "train")
    with pytest.raises(DataQualityError, match="version 2: no labelled test image"):
        evaluate(make_model(), unsealed)


def test_a_class_without_test_images_is_no_pass(make_model, evaluate, publish, digit_images):
    without = publish([pair for pair in digit_images if pair[1] != "4"])
    with pytest.raises(DataQualityError, match="classes without any: 4"):
        evaluate(make_model(), without)


def test_an_unknown_label_is_named(make_model, evaluate, publish, digit_images):
    odd = publish([(image, "x" if index == 0 else label) for index, (image, label) in enumerate(digit_images)])
    with pytest.raises(DataQualityError, match=r"\{'x': 1\}"):
        evaluate(make_model(), odd)


def test_weights_that_are_not_the_trained_ones_are_refused(make_model, evaluate, dataset):
    model = make_model().model_copy(update={"weights": digest_bytes(b"other")})
    with pytest.raises(ContractViolationError, match="as trained"):
        evaluate(model, dataset)


def test_a_dead_mlflow_is_reported(make_model, dataset, quick_project, store, dead_tracking):
    with pytest.raises(ServiceUnavailableError, match=dead_tracking.uri):
        evaluate_model(make_model(), dataset, quick_project, store, dead_tracking)
