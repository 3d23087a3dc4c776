import pytest
from pydantic import ValidationError

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleaseRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.vision.releases import (
    DecodingLimits,
    GoldenImage,
    ReleaseManifest,
    open_graph,
    open_release,
    publish_bundle,
    release_address,
)

SHA = "sha256:" + "a" * 64


def make_manifest(**fields):
    known = {
        "project": "digits",
        "classes": ("0", "1"),
        "model_version": 1,
        "model_key": SHA,
        "weights": SHA,
        "dataset": SHA,
        "decoding": DecodingLimits(formats=("PNG",), max_bytes=10, max_pixels=10),
        "golden": (GoldenImage(file="golden/000.png", probabilities=(0.25, 0.75), predicted="1"),),
        "tolerance": 1e-4,
    }
    return ReleaseManifest(**known | fields)


@pytest.fixture
def store(any_store):
    return any_store


@pytest.fixture
def published(store):
    return publish_bundle(store, make_manifest(), {"model.onnx": b"graph", "golden/000.png": b"image"})


def test_a_published_bundle_opens_by_address_and_by_reference(store, published):
    address, digest = published
    assert address == release_address("digits", digest)
    bundle = open_release(store, address)
    assert bundle.manifest == make_manifest()
    assert bundle.graph.read_bytes() == b"graph"
    dataset = DatasetRef(project="digits", address="x", version=1, digest=SHA, images=1, labelled=1)
    model = ModelRef(project="digits", key=SHA, run_id="run", weights=SHA, dataset=dataset)
    version = ModelVersionRef(model=model, version=1, accuracy=1)
    assert open_release(store, ReleaseRef(model=version, address=address, digest=digest, parity=0)) == bundle


def test_the_same_content_has_the_same_name_and_other_content_another(store, published):
    files = {"golden/000.png": b"image", "model.onnx": b"graph"}
    assert publish_bundle(store, make_manifest(), files) == published
    assert publish_bundle(store, make_manifest(tolerance=1e-3), files) != published


@pytest.mark.parametrize("change", ["changed", "removed", "added"])
def test_any_change_of_a_file_is_noticed(store, published, change):
    if change == "changed":
        store.write(f"{published[0]}/golden/000.png", b"imagf")
    elif change == "removed":
        store.remove(f"{published[0]}/model.onnx")
    else:
        store.write(f"{published[0]}/extra.bin", b"")
    with pytest.raises(ContractViolationError, match="damaged"):
        open_release(store, published[0])


def test_nothing_there_is_said(store):
    with pytest.raises(ArtifactNotFoundError, match="package the model version"):
        open_release(store, release_address("digits", SHA))


def test_an_address_outside_the_store_is_refused(store):
    with pytest.raises(ContractViolationError, match="leaves the store"):
        open_release(store, "../../etc")


def test_a_golden_image_outside_its_folder_is_refused():
    with pytest.raises(ValidationError):
        GoldenImage(file="golden/../../x.png", probabilities=(1.0,), predicted="1")


@pytest.mark.parametrize("graph", [b"", b"\x80\x04pickle"])
def test_bytes_that_are_no_graph_are_refused(graph):
    with pytest.raises(ContractViolationError, match="cannot load the graph"):
        open_graph(graph)
