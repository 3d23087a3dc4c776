"""Take a model file from elsewhere in, without ever reading what could execute."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from include.errors import ArtifactNotFoundError, ContractViolationError
from include.storage import Store, digest_bytes
from include.vision.sheets import ImportConfig, read_sheet

MAX_BYTES = 1_000_000_000
# As far as the marks of all known formats reach.
HEAD = 512
# An ONNX file begins with its first field, the version of the format.
ONNX_MARK = b"\x08"
LENGTH = 8
SUFFIXES = (".onnx", ".safetensors")
REMEDY = (
    "nothing that could hold pickled objects is opened here; where the model was trained, write its weights with "
    "safetensors.torch.save_file(model.state_dict(), ...) or the whole model with torch.onnx.export(...)"
)
TAR_AT = 257
STRANGERS = {
    b"PK": "a zip archive, as torch.save writes it around a pickle",
    b"\x80": "a pickle",
    b"\x1f\x8b": "compressed, as joblib writes a pickle",
    b"BZh": "compressed, as joblib writes a pickle",
    b"\xfd7zXZ": "compressed, as joblib writes a pickle",
    b"\x78": "compressed, as joblib writes a pickle",
    b"\x89HDF": "an HDF5 file",
}

Format = Literal["onnx", "safetensors"]


@dataclass(frozen=True)
class ForeignModel:
    """A model file from elsewhere, with its sheet; of its content, only the format is known."""

    address: str
    format: Format
    data: bytes
    sheet: ImportConfig

    @property
    def digest(self) -> str:
        """Digest of the file."""
        return digest_bytes(self.data)


def read_foreign_model(source: Store, address: str) -> ForeignModel:
    """Read an ONNX or safetensors file, and the sheet of the same name beside it, `.yaml` or `.json`.

    :raises ArtifactNotFoundError: file or sheet is missing.
    :raises ContractViolationError: the file is something else, whatever its name says, or too large; or the sheet is
        wrong. Anything that may be a pickle is refused before it is read.
    """
    if not address.endswith(SUFFIXES):
        raise ContractViolationError(f"{address} is named like neither {' nor '.join(SUFFIXES)}: {REMEDY}")
    with source.open(address) as file:
        size = file.seek(0, 2)
        if size > MAX_BYTES:
            raise ContractViolationError(f"{address} has {size:,} bytes, {MAX_BYTES:,} are allowed; export it smaller")
        kind = _recognise(file, address, size)
        file.seek(0)
        data = file.read()
    return ForeignModel(address, kind, data, _find_sheet(source, address))


def _recognise(file: BinaryIO, address: str, size: int) -> Format:
    """Tell the format by the first bytes; the name must agree, so that nobody is misled about what was delivered."""
    file.seek(0)
    head = file.read(HEAD)
    length = int.from_bytes(head[:LENGTH], "little")
    if head[LENGTH : LENGTH + 1] == b"{" and length <= size - LENGTH:
        found: Format = "safetensors"
    elif head.startswith(ONNX_MARK):
        found = "onnx"
    else:
        raise ContractViolationError(f"{address} is {_describe(head)}: {REMEDY}")
    if not address.endswith(f".{found}"):
        raise ContractViolationError(f"{address} is {found} by its content; rename it to what it is")
    return found


def _describe(head: bytes) -> str:
    if head[TAR_AT:].startswith(b"ustar"):
        return "a tar archive"
    known = (what for mark, what in STRANGERS.items() if head.startswith(mark))
    return next(known, "neither ONNX nor safetensors by its content" if head else "empty")


def _find_sheet(source: Store, address: str) -> ImportConfig:
    names = [str(PurePosixPath(address).with_suffix(suffix)) for suffix in (".yaml", ".json")]
    for name in names:
        if source.exists(name):
            return read_sheet(source.read(name), name)
    raise ArtifactNotFoundError(
        f"{address} has no sheet: {' or '.join(names)} must say how its images are prepared and where it comes from; "
        "docs/ml_engineer.md shows one"
    )
