import json

import numpy as np
import pytest

from include.contracts import DatasetRef, ModelRef
from include.errors import ContractViolationError, DataQualityError, ServiceUnavailableError
from include.evaluation.evaluate import draw_confusion, evaluate_model, measure
from include.storage import digest_bytes
from include.tracking import confusion_path, evaluation_folder
from include.vision.images import ImageSet, read_split, split_digest
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
    test = read_split(dataset, store, "test", quick_project.data)
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
        assert tracking.read_artifact(model.run_id, confusion_path(report.test_digest)).startswith(b"\x89PNG")
        assert json.loads(tracking.read_artifact(model.run_id, f"{folder}/report.json")) == report.model_dump()


def test_a_champion_of_older_classes_misses_the_new_one(make_model, evaluate, dataset, quick_project):
    report = evaluate(make_model(quick_project.classes[:-1]), dataset)
    assert report.recall_by_class[quick_project.classes[-1]] == 0
    assert report.worst_class_recall == 0


def test_numbers_of_a_small_case_by_hand():
    digest = digest_bytes(b"x")
    dataset = DatasetRef(project="p", address="a", version=1, digest=digest, images=4, labelled=4)
    model = ModelRef(project="p", key=digest, run_id="r", weights=digest, dataset=dataset)
    test = ImageSet(
        [], ["a", "a", "b", "b"], list("1234"), ["2026-03-01", "2026-03-01", "2026-03-01", "2026-03-02"], []
    )
    report = measure(model, test, ["a", "b", "b", "b"], ["a", "b"])
    assert report.accuracy == 0.75
    assert report.recall_by_class == {"a": 0.5, "b": 1.0}
    assert report.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert report.accuracy_by_partition == {"2026-03-01": pytest.approx(2 / 3), "2026-03-02": 1.0}


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


def test_the_confusion_matrix_shows_counts():
    figure = draw_confusion(np.array([[3, 1], [0, 2]]), ["cat", "dog"], "6 test images")
    axes = figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
