import gzip
import io
import pickle
import tarfile

import pytest
import safetensors.torch
import torch

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.storage import Store, digest_bytes
from include.vision import foreign
from include.vision.foreign import read_foreign_model
from tests.include.foreign_models import deliver_model, make_sheet

ONNX = b"\x08\x0a\x12\x07pytorch"
SAFETENSORS = safetensors.torch.save({"a": torch.zeros(2)})


class ExecutedError(Exception):
    """A pickle was read."""


class Bomb:
    def __reduce__(self):
        return _explode, ()


def _explode():
    raise ExecutedError


def save_with_torch(**options) -> bytes:
    buffer = io.BytesIO()
    torch.save({"model": Bomb()}, buffer, **options)
    return buffer.getvalue()


def make_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("data.pkl"))
    return buffer.getvalue()


PICKLES = {
    "zip": save_with_torch(),
    "legacy": save_with_torch(_use_new_zipfile_serialization=False),
    "joblib": gzip.compress(pickle.dumps(Bomb())),
    "tar": make_tar(),
    **{f"protocol-{number}": pickle.dumps(Bomb(), protocol=number) for number in range(6)},
}


@pytest.mark.parametrize(("name", "data"), [("m.onnx", ONNX), ("m.safetensors", SAFETENSORS)])
def test_a_file_comes_with_its_sheet(tmp_path, name, data):
    deliver_model(tmp_path / "digits" / "models", name, data)
    found = read_foreign_model(Store(str(tmp_path)), f"digits/models/{name}")
    assert (found.format, found.data, found.digest) == (name.partition(".")[2], data, digest_bytes(data))
    assert found.sheet == make_sheet()


@pytest.mark.parametrize("name", ["m.onnx", "m.safetensors"])
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_under_a_false_name_is_refused(tmp_path, name, kind):
    deliver_model(tmp_path, name, PICKLES[kind])
    with pytest.raises(ContractViolationError, match=r"m\.\w+ is .*: nothing that could hold pickled .* torch\.onnx"):
        read_foreign_model(Store(str(tmp_path)), name)


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.pkl", "m.ckpt", "m.bin", "m.joblib", "m", "onnx"])
def test_a_pickle_by_name_is_refused_before_it_is_opened(tmp_path, name):
    with pytest.raises(ContractViolationError, match=r"safetensors\.torch\.save_file"):
        read_foreign_model(Store(str(tmp_path)), name)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.onnx", b"", "is empty"),
        ("m.onnx", SAFETENSORS, "is safetensors by its content; rename it"),
        ("m.safetensors", ONNX, "is onnx by its content; rename it"),
        ("m.safetensors", (9**9).to_bytes(8, "little") + b"{}", "neither ONNX nor safetensors"),
    ],
)
def test_what_is_something_else_is_refused(tmp_path, name, data, message):
    deliver_model(tmp_path, name, data)
    with pytest.raises(ContractViolationError, match=message):
        read_foreign_model(Store(str(tmp_path)), name)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "MAX_BYTES", 4)
    deliver_model(tmp_path, "m.onnx", ONNX)
    with pytest.raises(ContractViolationError, match=r"has 11 bytes, 4 are allowed"):
        read_foreign_model(Store(str(tmp_path)), "m.onnx")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"m\.onnx"):
        read_foreign_model(Store(str(tmp_path)), "m.onnx")
    deliver_model(tmp_path, "m.onnx", ONNX).with_suffix(".yaml").unlink()
    with pytest.raises(ArtifactNotFoundError, match=r"has no sheet: m\.yaml or m\.json"):
        read_foreign_model(Store(str(tmp_path)), "m.onnx")


def test_a_file_outside_the_inbox_is_refused(tmp_path):
    deliver_model(tmp_path, "m.onnx", ONNX)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "link.onnx").symlink_to(tmp_path / "m.onnx")
    for address in ("../m.onnx", "link.onnx"):
        with pytest.raises(ContractViolationError, match="leaves the store"):
            read_foreign_model(Store(str(tmp_path / "inbox")), address)
