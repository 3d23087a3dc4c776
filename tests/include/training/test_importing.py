import pytest
import safetensors.torch
import sqlalchemy as sa
import torch

from include.errors import ContractViolationError, DataQualityError, ParityError
from include.ledger.models import find_candidate
from include.ledger.tables import candidates
from include.registry.certificate import ORIGIN
from include.storage import Store
from include.tracking import TRAINER_TAG
from include.training.importing import IMPORTED_TAG, import_key, import_model, inbox_address
from include.training.selection import select_dataset
from include.vision.foreign import read_foreign_model
from include.vision.graphs import graph_address
from include.vision.weights import load_classifier
from tests.include.foreign_models import deliver_model, export_onnx, make_network


@pytest.fixture
def dataset(publish, digit_images):
    return publish(digit_images[:40])


@pytest.fixture
def deliver(tmp_path, quick_project):
    """Put a model file and its sheet into the inbox, and read it."""

    def put(name, data, **changes):
        address = inbox_address(quick_project.name, name)
        deliver_model(tmp_path / quick_project.name / "models", name, data, **changes)
        return read_foreign_model(Store(str(tmp_path)), address)

    return put


@pytest.fixture
def take_in(quick_project, dataset, store, ledger, tracking):
    def call(foreign, project=quick_project, dataset=dataset, by=None):
        return import_model(foreign, project, dataset, store, ledger, tracking, "monday", by)

    return call


def save_tensors(network=None) -> bytes:
    return safetensors.torch.save((network or make_network()).state_dict())


def test_an_onnx_model_becomes_a_candidate(deliver, take_in, dataset, store, ledger, tracking, digit_images):
    foreign = deliver("net.onnx", export_onnx(make_network()))
    model = take_in(foreign, by="ada")
    assert (model.imported, model.dataset, find_candidate(ledger, model.key)) == (True, dataset, model)
    assert store.exists(graph_address(model))
    classifier, _ = load_classifier(tracking.fetch_candidate(model))
    assert classifier.predict_probabilities([digit_images[0][0]]).shape == (1, 10)
    with tracking.connect() as client:
        run = client.get_run(model.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "monday")
    assert (run.data.tags[IMPORTED_TAG], run.data.tags[TRAINER_TAG]) == (foreign.digest, "ada")
    assert all(run.data.tags[tag].startswith("sha256:") for tag in ORIGIN.values())
    assert run.data.params["imported.trained_on"] == "their own scans; none of our images"
    assert take_in(foreign) == model


def test_safetensors_become_a_network_of_ours(deliver, take_in, tracking, digit_images):
    model = take_in(deliver("net.safetensors", save_tensors(), architecture="small_cnn"))
    classifier, _ = load_classifier(tracking.fetch_candidate(model))
    assert classifier.preprocess.mean.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    pixels = classifier.preprocess.prepare([digit_images[0][0]])
    with torch.no_grad():
        assert torch.equal(classifier.network(pixels), make_network()(pixels))


def test_the_key_is_that_of_file_sheet_and_dataset(deliver, quick_project, dataset):
    data = export_onnx(make_network())
    key = import_key(quick_project, dataset, deliver("net.onnx", data))
    assert import_key(quick_project, dataset, deliver("same.onnx", data)) == key
    other = dataset.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    keys = {
        import_key(quick_project, dataset, deliver("net.onnx", data, mean=[0, 0, 0])),
        import_key(quick_project, dataset, deliver("net.onnx", data + b"\x3a\x00")),
        import_key(quick_project, other, deliver("net.onnx", data)),
    }
    assert len(keys - {key}) == 3


def test_an_import_that_was_killed_is_gone_on_with_in_its_run(deliver, take_in, ledger, tracking, quick_project):
    foreign = deliver("net.safetensors", save_tensors(), architecture="small_cnn")
    model = take_in(foreign)
    with ledger.begin() as connection:
        connection.execute(sa.delete(candidates))
    with tracking.connect() as client:
        client.update_run(model.run_id, status="RUNNING")
    assert take_in(foreign) == model
    with tracking.connect() as client:
        runs = client.search_runs([tracking.find_experiment(quick_project.name)])
    assert [run.info.status for run in runs] == ["FINISHED"]


def test_training_does_not_wait_for_labels_that_an_imported_model_has_seen(
    deliver, take_in, dataset, ledger, store, quick_project, monkeypatch
):
    take_in(deliver("net.safetensors", save_tensors(), architecture="small_cnn"))
    monkeypatch.setattr("include.training.selection.find_latest_dataset", lambda *_: dataset)
    assert select_dataset(quick_project, ledger, store, required=False) == dataset


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("net.onnx", {"classes": [*"012345678", "ten"]}, "missing: 9; unknown: ten"),
        ("net.onnx", {"image_size": 64}, r"correct image_size"),
        ("net.safetensors", {}, "need an `architecture`"),
        ("net.safetensors", {"architecture": "resnet18"}, "does not fit resnet18 with 10 classes"),
        ("net.safetensors", {"architecture": "resnet81"}, "did you mean 'resnet18'"),
        ("net.safetensors", {"architecture": "small_cnn", "channels": "bgr"}, "export other models to ONNX"),
    ],
)
def test_a_model_that_does_not_fit_its_sheet_is_refused(deliver, take_in, ledger, name, changes, message):
    data = export_onnx(make_network()) if name.endswith("onnx") else save_tensors()
    with pytest.raises(ContractViolationError, match=message):
        take_in(deliver(name, data, **changes))
    with ledger.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(candidates)) == 0


def test_weights_that_are_no_numbers_are_named(deliver, take_in):
    network = make_network()
    with torch.no_grad():
        next(network.parameters())[0] = torch.nan
    with pytest.raises(ContractViolationError, match=r"NaN or infinity in 0\.weight"):
        take_in(deliver("net.safetensors", save_tensors(network), architecture="small_cnn"))


def test_answers_that_are_no_numbers_end_the_run_as_failed(deliver, take_in, tracking, quick_project):
    with pytest.raises(ContractViolationError, match="answers real images with NaN or infinity"):
        take_in(deliver("net.safetensors", save_tensors(), architecture="small_cnn", std=[1e-40] * 3))
    with tracking.connect() as client:
        [run] = client.search_runs([tracking.find_experiment(quick_project.name)])
    assert run.info.status == "FAILED"


def test_an_export_that_answers_otherwise_is_refused(deliver, take_in, quick_project):
    strict = quick_project.deployment.model_copy(update={"max_parity_difference": 1e-30})
    with pytest.raises(ParityError, match=r"up to .* otherwise than alone; .* allows 1\.00e-30"):
        take_in(
            deliver("net.onnx", export_onnx(make_network())), quick_project.model_copy(update={"deployment": strict})
        )


def test_without_validation_images_nothing_is_proven(deliver, take_in, publish, digit_images):
    with pytest.raises(DataQualityError, match="no validation images to try a model on"):
        take_in(
            deliver("net.onnx", export_onnx(make_network())), dataset=publish(digit_images[:8], split=lambda _: "train")
        )
