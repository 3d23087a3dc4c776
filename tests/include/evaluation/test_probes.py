import numpy as np
import pytest

from include.contracts import DatasetRef, ModelRef
from include.evaluation.probes import choose_probes, choose_worst, explanations_address, publish_explanations
from include.project import EvaluationConfig
from include.storage import digest_bytes
from include.vision.images import ImageSet
from include.vision.networks import build_classifier
from include.vision.weights import wrap_graph
from tests.include.foreign_models import export_onnx, make_network, make_sheet


def test_probes_are_of_each_class_in_turn_by_digest():
    labels, digests = ["b", "a", "a", "b", "a"], ["e", "d", "a", "b", "c"]
    assert choose_probes(labels, digests, 3) == [2, 3, 4]
    assert choose_probes(labels, digests, 9) == [2, 3, 4, 0, 1]
    assert choose_probes([], [], 3) == choose_probes(labels, digests, 0) == []


def test_probes_do_not_depend_on_the_order_nor_on_images_with_larger_digests():
    labels, digests = ["b", "a", "a", "b"], ["4", "3", "1", "2"]
    chosen = {digests[place] for place in choose_probes(labels, digests, 2)}
    more = [*digests[::-1], "9"], [*labels[::-1], "a"]
    assert {more[0][place] for place in choose_probes(more[1], more[0], 2)} == chosen


def test_the_worst_error_is_the_one_with_the_least_for_the_truth():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    assert choose_worst([1, 1, 1, -1], probabilities) == [3, 0, 2]
    assert choose_worst([1, 1, 1, -1], probabilities, 1) == [3]
    assert choose_worst([0, 1, 0, 1], probabilities) == []


@pytest.fixture
def publish_page(project, store, digit_images):
    """Explain an untrained model on a few digits; return the page."""

    def publish(known, classifier=None, **evaluation):
        shown = project.model_copy(update={"evaluation": EvaluationConfig(**evaluation)})
        images, labels = zip(*digit_images[:30], strict=True)
        digests = [digest_bytes(image.tobytes()) for image in images]
        test = ImageSet(list(images), list(labels), digests, ["2026-03-01"] * 30, digests)
        classifier = classifier or build_classifier(project.training, len(known))
        empty = digest_bytes(b"")
        dataset = DatasetRef(project="digits", address="-", version=1, digest=empty, images=30, labelled=30)
        model = ModelRef(project="digits", key=empty, run_id="-", weights=empty, dataset=dataset)
        address = publish_explanations(model, classifier, known, test, shown, store)
        assert address == explanations_address(model) == "digits/reports/explanations/e3b0c44298fc/index.html"
        return store.read(address).decode()

    return publish


def test_the_page_shows_probes_and_worst_errors_by_every_method(publish_page, project):
    page = publish_page(project.classes, probe_images=3)
    assert page.count("<img") == (3 + 6) * 5
    assert page.count("sum off by") == (3 + 6) * 2
    assert "://" not in page.replace("data:", "")
    assert "occlusion of" in page


def test_a_class_the_model_does_not_know_is_an_error_of_its(publish_page):
    page = publish_page(("<b>", "<i>"), probe_images=0)
    assert page.count("&lt;b&gt;") + page.count("&lt;i&gt;") == 6 * 5
    assert page.count("<img") == 6 * 5


def test_the_page_says_why_an_imported_graph_is_explained_by_fewer_methods(publish_page, project):
    page = publish_page(project.classes, wrap_graph(export_onnx(make_network()), make_sheet()), probe_images=1)
    assert page.count("<img") == (1 + 6) * 3
    assert "Not shown: integrated gradients, gradient shap. They need gradients" in page
    assert "sum off by" not in page
    assert "must add up" not in page
