"""The Open Inference Protocol, spoken by a client that is not ours."""

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

import include.serving.recorder as recorder_module
from include.serving.app import create_app


@pytest.fixture(autouse=True)
def unpublished(monkeypatch):
    """Rows stay where a test can read them."""
    monkeypatch.setattr(recorder_module, "PUBLISH_SECONDS", 600)


@pytest.fixture
def triton(settings, make_release, want, listen):
    want(make_release(7))
    app = create_app(settings)
    with listen(app) as uri:
        app.state.intake.service.plan.reconcile()
        with InferenceServerClient(uri.removeprefix("http://")) as client:
            yield client


def make_input(name, values, datatype, *, binary=True):
    tensor = InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def test_the_server_and_its_models_are_described(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert triton.is_model_ready("digits")
    assert triton.is_model_ready("digits", "7")
    assert not triton.is_model_ready("digits", "8")
    assert not triton.is_model_ready("cats")
    told = triton.get_model_metadata("digits")
    assert (told["name"], told["versions"]) == ("digits", ["7"])
    assert {tensor["name"]: tensor["datatype"] for tensor in told["inputs"]} == {
        "images": "UINT8",
        "image_bytes": "BYTES",
    }
    shapes = {tensor["name"]: tensor["shape"] for tensor in told["outputs"]}
    assert shapes["probabilities"] == [-1, len(told["parameters"]["classes"])]


def test_pixels_and_files_are_answered_alike_and_recorded(triton, png, spill):
    pixels = np.full((3, 32, 32, 3), 90, np.uint8)
    files = np.array([png] * 3, object)
    found = [
        triton.infer("digits", [make_input("images", pixels, "UINT8")]),
        triton.infer("digits", [make_input("images", pixels, "UINT8", binary=False)], request_id="mine"),
        triton.infer("digits", [make_input("image_bytes", files, "BYTES")], model_version="7"),
    ]
    for result in found:
        assert result.as_numpy("probabilities").shape == (3, 10)
        assert np.allclose(result.as_numpy("probabilities"), found[0].as_numpy("probabilities"))
        assert [text.decode() for text in result.as_numpy("predicted")] == ["7"] * 3
        assert result.as_numpy("confidence") == pytest.approx(result.as_numpy("probabilities").max(axis=1))
        assert result.as_numpy("version").tolist() == [7] * 3
        assert [text.decode() for text in result.as_numpy("variant")] == ["champion"] * 3
    assert found[1].get_response()["id"] == "mine"
    told = [text.decode() for result in found for text in result.as_numpy("request_id")]
    assert {row["request_id"] for row in spill()} == {*told}
    assert len({*told}) == 9


def test_outputs_are_those_asked_for(triton, png):
    files = make_input("image_bytes", np.array([png], object), "BYTES")
    wanted = [InferRequestedOutput("predicted", binary_data=False), InferRequestedOutput("confidence")]
    result = triton.infer("digits", [files], outputs=wanted)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["predicted", "confidence"]
    assert result.as_numpy("probabilities") is None


def test_a_refusal_tells_the_client_why(triton, png):
    cases = (
        ("digits", [b"no image"], "begins like no file of PNG"),
        ("digits", [png, b""], "image 1: the file has no bytes"),
        ("digits", [png] * 33, "33 images, at most 32"),
        ("cats", [png], "there is no project 'cats'"),
    )
    for model, files, reason in cases:
        with pytest.raises(InferenceServerException, match=reason):
            triton.infer(model, [make_input("image_bytes", np.array(files, object), "BYTES")])
    whole = [make_input("image_bytes", np.array([png], object), "BYTES")]
    with pytest.raises(InferenceServerException, match="compressed"):
        triton.infer("digits", whole, request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match="version '8' of digits does not answer"):
        triton.infer("digits", whole, model_version="8")
    assert triton.infer("digits", whole).as_numpy("predicted").tolist() == [b"7"]
