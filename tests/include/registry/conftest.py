import pytest
import torch

from include.contracts import EvaluationReport, ModelRef, PromotionDecision
from include.registry.certificate import ORIGIN
from include.storage import digest_bytes
from include.tracking import MODEL_FOLDER
from include.vision.export import export_graph
from include.vision.graphs import graph_address
from include.vision.networks import build_classifier
from include.vision.weights import load_classifier, save_classifier
from tests.include.registry.archived import Registry


@pytest.fixture(scope="session")
def trained(project, tmp_path_factory):
    """Folder and weights of a classifier."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    classifier = build_classifier(project.training, len(project.classes))
    return folder, save_classifier(classifier, project.training, project.classes, folder)


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images[:8])


@pytest.fixture
def decide(quick_project, dataset, tracking, trained):
    """A decision about a model with a run of its own."""
    runs = {}

    def make(model="m", *, verdict="promote", reasons=("accuracy 0.9900 is enough",), champion=None):
        if model not in runs:
            tags = {tag: digest_bytes(name.encode()) for name, tag in ORIGIN.items()}
            with tracking.connect() as client:
                run = client.create_run(tracking.find_experiment(quick_project.name), tags=tags)
                client.log_artifacts(run.info.run_id, str(trained[0]), MODEL_FOLDER)
            runs[model] = run.info.run_id
        report = EvaluationReport(
            model=ModelRef(
                project=quick_project.name,
                key=digest_bytes(f"{quick_project.name} {model}".encode()),
                run_id=runs[model],
                weights=trained[1],
                dataset=dataset,
            ),
            test_digest=digest_bytes(b"test"),
            images=200,
            accuracy=0.99,
            macro_f1=0.98,
            worst_class_recall=0.97,
            recall_by_class={"0": 0.97, "<b>": 1.0},
            accuracy_by_partition={"2026-03-01": 0.99},
        )
        return PromotionDecision(verdict=verdict, candidate=report, champion=champion, reasons=reasons)

    return make


@pytest.fixture
def read_alias(quick_project, tracking):
    """The version that MLflow has under an alias."""

    def read(alias):
        with tracking.connect() as client:
            return client.get_registered_model(quick_project.name).aliases.get(alias)

    return read


@pytest.fixture
def create_version(quick_project, tracking):
    """Put a version of a model straight into MLflow."""

    def create(model, **tags):
        with tracking.connect() as client:
            if not client.search_registered_models(f"name = '{quick_project.name}'"):
                client.create_registered_model(quick_project.name)
            source = client.get_run(model.run_id).info.artifact_uri
            client.create_model_version(quick_project.name, source, model.run_id, tags=tags, await_creation_for=0)

    return create


@pytest.fixture(scope="session")
def graph(trained):
    """The classifier's graph."""
    return export_graph(load_classifier(trained[0])[0])


@pytest.fixture
def registry(quick_project, store, ledger, tracking, decide, publish, digit_images, graph):
    """A registry that can retire what is registered there."""
    # Exporting takes seconds, and gives the same bytes every time.
    store.write(graph_address(decide().candidate.model), graph)
    return Registry(quick_project, store, ledger, tracking, decide, publish(digit_images[:40]))
