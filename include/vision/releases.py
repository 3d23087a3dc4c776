"""Release bundles: a folder with graph, manifest, certificate, golden images and reference, named by its content."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from include.contracts import Contract, Digest, Fraction, ReleaseRef
from include.errors import ArtifactNotFoundError, ContractViolationError
from include.storage import Store, digest_folder

GRAPH = "model.onnx"
MANIFEST = "release.json"
CERTIFICATE = "certificate.json"
REFERENCE = "reference.parquet"
GRAPH_INPUT = "images"
GRAPH_OUTPUT = "probabilities"
GRAPH_EMBEDDING = "embedding"
EMBEDDING_SIZE = 64


class DecodingLimits(Contract):
    """Which images a release takes; anything else is refused before it is decoded."""

    formats: tuple[str, ...] = Field(min_length=1)
    max_bytes: int = Field(ge=1)
    max_pixels: int = Field(ge=1)
    max_aspect: float = Field(default=20.0, ge=1)


class GoldenImage(Contract):
    """One image and the answer this release gave when it was packaged."""

    file: str = Field(pattern=r"^golden/[0-9a-z_]+\.png$")
    image: Digest | None = Field(default=None, description="Of the stored image, so that `forget` finds it here.")
    probabilities: tuple[Fraction, ...]
    predicted: str


class ReleaseManifest(Contract):
    """What a release is, where it came from, and how to know that it still answers the same."""

    project: str
    classes: tuple[str, ...] = Field(min_length=2, description="In the order of the graph's outputs.")
    model_version: int = Field(ge=1)
    model_key: Digest
    weights: Digest
    dataset: Digest
    decoding: DecodingLimits
    golden: tuple[GoldenImage, ...] = Field(min_length=1)
    tolerance: float = Field(gt=0, description="Largest absolute difference in probability of a golden answer.")


@dataclass(frozen=True)
class Bundle:
    """A bundle in the store whose bytes were found to match its name."""

    folder: Path
    digest: str
    manifest: ReleaseManifest

    @property
    def graph(self) -> Path:
        """ONNX graph: uint8 [N, H, W, 3] in, float32 probabilities [N, classes] and embedding [N, up to 64] out."""
        return self.folder / GRAPH

    @property
    def certificate(self) -> Path:
        """Signed certificate of the version; a bundle without one is not served."""
        return self.folder / CERTIFICATE

    @property
    def reference(self) -> Path:
        """Parquet table of the validation split, as far as it has the columns of the prediction log; digest, label."""
        return self.folder / REFERENCE


def release_address(project: str, digest: str) -> str:
    """Return where the release of a digest lies in the store."""
    return f"{project}/releases/{digest.removeprefix('sha256:')}"


def publish_bundle(store: Store, manifest: ReleaseManifest, files: Mapping[str, bytes]) -> tuple[str, str]:
    """Publish a bundle under the digest of its content; return address and digest."""
    with tempfile.TemporaryDirectory(prefix="windhover-release-") as scratch:
        folder = Path(scratch)
        contents = {**files, MANIFEST: manifest.model_dump_json(indent=2).encode()}
        for name, content in contents.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        digest = digest_folder(folder)
        address = release_address(manifest.project, digest)
        store.publish_folder(folder, address)
    return address, digest


def open_release(store: Store, release: ReleaseRef | str) -> Bundle:
    """Open a release by reference or address, after comparing every byte of it with its digest.

    :raises ArtifactNotFoundError: nothing is there.
    :raises ContractViolationError: the bundle was changed after it was published, or is not a bundle.
    """
    address = release if isinstance(release, str) else release.address
    try:
        folder = store.fetch(address)
    except ArtifactNotFoundError as error:
        raise ArtifactNotFoundError(
            f"no release at {address!r} in store {store.root}; package the model version again"
        ) from error
    named = f"sha256:{folder.name}" if isinstance(release, str) else release.digest
    found = digest_folder(folder)
    if found != named:
        raise ContractViolationError(
            f"release {address} is damaged: its files have digest {found}, not {named}; "
            "remove the folder and package the model version again"
        )
    try:
        manifest = ReleaseManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ContractViolationError(f"release {address} has no valid {MANIFEST}: {error}") from error
    return Bundle(folder, found, manifest)


def open_graph(graph: Path | bytes) -> onnxruntime.InferenceSession:
    """Load an exported graph for the CPU; any number of threads may run it at once."""
    options = onnxruntime.SessionOptions()
    # Requests are the parallelism: threads inside one small graph would only fight over the same cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base but Exception
        raise ContractViolationError(f"ONNX Runtime cannot load the graph: {' '.join(str(error).split())}") from error


def run_graph(graph: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities, float32 [N, classes], of one batch of images, uint8 [N, H, W, 3]."""
    probabilities: NDArray[np.float32] = graph.run([GRAPH_OUTPUT], {GRAPH_INPUT: images})[0]
    return probabilities


def run_graph_with_embedding(
    graph: onnxruntime.InferenceSession, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the probabilities, float32 [N, classes], and the embedding, float32 [N, up to 64], of one batch.

    The embedding is None where the graph has none: it was imported, or exported before there were embeddings.
    """
    outputs = [GRAPH_OUTPUT]
    outputs += [one.name for one in graph.get_outputs() if one.name == GRAPH_EMBEDDING]
    probabilities, *embedding = graph.run(outputs, {GRAPH_INPUT: images})
    return probabilities, embedding[0] if embedding else None
