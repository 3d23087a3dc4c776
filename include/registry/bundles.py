"""Seal what is left of a retired version into one bundle, and have the bundle answer again.

The bundle needs nothing but itself and a trusted key: its signed manifest names every file by digest, and the graph's
scores of a few images to the last bit.
"""

import io
import platform
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnxruntime
from PIL import Image
from pydantic import Field, ValidationError

from include.contracts import Contract, Digest, ModelVersionRef
from include.contracts.governance import Certificate
from include.contracts.retirement import ArchiveReport
from include.errors import ArtifactNotFoundError, ContractViolationError, DataQualityError, NotCertifiedError
from include.ledger import Ledger
from include.ledger.certificates import find_certificate
from include.ledger.datasets import find_latest_dataset
from include.project import Project
from include.registry.model_card import card_address
from include.settings import REPOSITORY, load_settings
from include.storage import Store, digest_bytes
from include.storage.signing import Signer, read_signed
from include.tracking import MODEL_FOLDER, Tracking
from include.vision.certificates import read_certificate
from include.vision.decoding import encode_canonical
from include.vision.graphs import export_once
from include.vision.images import read_split
from include.vision.releases import CERTIFICATE, GRAPH, open_graph, run_graph

MANIFEST = "bundle.json"
CARD = "model_card.html"
DECISION = "decision.json"
PROBES = "probes"
LOCK = REPOSITORY / "requirements.lock"


class Probe(Contract):
    """One image that a bundle was asked about when it was sealed."""

    file: str
    image: Digest = Field(description="Of the stored image, by which it may be forgotten.")
    probabilities: tuple[float, ...] = Field(min_length=1, description="Exactly as the graph gave them, float32.")


class BundleManifest(Contract):
    """What a bundle holds, and how to know that it still answers the same."""

    project: str
    version: int = Field(ge=1)
    model_key: Digest
    weights: Digest
    files: dict[str, Digest] = Field(description="Every file beside this one, by its path.")
    answers: dict[str, Digest] = Field(description="Of what the evaluations rest on, by address in the store.")
    probes: tuple[Probe, ...] = Field(min_length=1)
    tolerance: float = Field(gt=0, description="Largest difference in probability that another machine may make.")
    environment: dict[str, str]


def bundle_address(project: str, version: int) -> str:
    """Address of the bundle of a retired version."""
    return f"{project}/archive/{version}"


def seal_bundle(
    version: ModelVersionRef, project: Project, store: Store, ledger: Ledger, tracking: Tracking
) -> ArchiveReport:
    """Write the bundle of a version, and have it answer; one that is there and answers already stays as it is.

    :raises NotCertifiedError: the version has no certificate, or its graph is not the certified one.
    :raises DataQualityError: the project has no validation images to score.
    :raises ArtifactNotFoundError: a part of the version is gone.
    """
    try:
        return check_bundle(project.name, version.version, store)
    except (ArtifactNotFoundError, ContractViolationError):
        # Of an attempt that was killed, or overtaken by another; the originals are still there.
        store.remove(bundle_address(project.name, version.version))
    certificate, files = _collect_files(version, store, ledger, tracking)
    probes, images = _score_probes(files[GRAPH], project, store, ledger)
    files |= images
    manifest = BundleManifest(
        project=project.name,
        version=version.version,
        model_key=version.model.key,
        weights=version.model.weights,
        files={name: digest_bytes(data) for name, data in sorted(files.items())},
        answers=_digest_answers(certificate, store),
        probes=probes,
        tolerance=project.deployment.max_parity_difference,
        environment=_describe_environment(),
    )
    _write(manifest, files, store)
    return check_bundle(project.name, version.version, store)


def check_bundle(project: str, version: int, store: Store, forgotten: Collection[str] = ()) -> ArchiveReport:
    """Check seal and files of a bundle, score its images again, and hold the scores against the sealed ones.

    :param forgotten: Digests of images that were erased; no others may be missing.
    :raises ArtifactNotFoundError: there is no bundle.
    :raises ContractViolationError: the seal does not hold, or the graph answers differently.
    """
    address = bundle_address(project, version)
    signed = store.read(f"{address}/{MANIFEST}")
    manifest = _read_manifest(signed, project, version, store)
    erased = {probe.file for probe in manifest.probes if probe.image in forgotten}
    files = _read_files(manifest, address, erased, store)
    difference = _measure_difference(manifest, address, files)
    probes, now = sum(probe.file in files for probe in manifest.probes), _describe_environment()
    return ArchiveReport(
        project=project,
        version=version,
        bundle=digest_bytes(signed),
        files=len(files),
        probes=probes,
        erased=len(erased - files.keys()),
        difference=difference,
        identical=bool(probes) and difference == 0,
        environment={name: f"{was}, now {now[name]}" for name, was in manifest.environment.items() if now[name] != was},
    )


def _collect_files(
    version: ModelVersionRef, store: Store, ledger: Ledger, tracking: Tracking
) -> tuple[Certificate, dict[str, bytes]]:
    project, number = version.model.project, version.version
    signed = find_certificate(ledger, project, number)
    if signed is None:
        raise NotCertifiedError(f"{project} version {number} has no certificate to archive; run `register_model` again")
    certificate, folder = read_certificate(signed, store), tracking.fetch_candidate(version.model)
    graph = export_once(version.model, folder, store)
    if digest_bytes(graph) != certificate.graph:
        raise NotCertifiedError(
            f"the graph of {project} version {number} has digest {digest_bytes(graph)}, certified is "
            f"{certificate.graph}; see docs/runbook.md, certificate refused"
        )
    weights = {
        f"{MODEL_FOLDER}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    card, decision = store.read(card_address(version)), certificate.decision.model_dump_json(indent=2).encode()
    return certificate, {GRAPH: graph, CERTIFICATE: signed, CARD: card, DECISION: decision, **weights}


def _score_probes(
    graph: bytes, project: Project, store: Store, ledger: Ledger
) -> tuple[tuple[Probe, ...], dict[str, bytes]]:
    """Choose images of the newest dataset version: the model's own may be gone."""
    dataset = find_latest_dataset(ledger, project.name)
    validation = read_split(dataset, store, "validation", project.data) if dataset else None
    if not validation or not validation.images:
        raise DataQualityError(
            f"{project.name} has no validation images to archive a model with; raise data.validation_share"
        )
    session, found, files = open_graph(graph), {}, {}
    wanted = min(len(validation.images), project.deployment.golden_images)
    for i in np.linspace(0, len(validation.images) - 1, num=wanted).astype(int).tolist():
        image, digest = validation.images[i], validation.digests[i]
        file = probe_file(digest)
        files[file] = encode_canonical(image)
        found[file] = Probe(file=file, image=digest, probabilities=run_graph(session, image[None])[0].tolist())
    return tuple(found.values()), files


def probe_file(image: Digest) -> str:
    """Path, in a bundle, of an image that it was asked about."""
    return f"{PROBES}/{image.removeprefix('sha256:')}.png"


def _digest_answers(certificate: Certificate, store: Store) -> dict[str, Digest]:
    decision = certificate.decision
    addresses = [report.answers for report in (decision.candidate, decision.champion) if report and report.answers]
    # Erasing an image of the test split removes the answers about it.
    return {one: digest_bytes(store.read(one)) for one in addresses if store.exists(one)}


def _describe_environment() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "processor": platform.machine(),
        "lock": digest_bytes(LOCK.read_bytes()) if LOCK.is_file() else "none",
    }


def _write(manifest: BundleManifest, files: Mapping[str, bytes], store: Store) -> None:
    address = bundle_address(manifest.project, manifest.version)
    for name, data in files.items():
        store.write(f"{address}/{name}", data)
    signed = Signer(load_settings().home, store).sign(manifest.model_dump(mode="json"))
    # Last: a bundle without it is none.
    store.write(f"{address}/{MANIFEST}", signed)


def _read_manifest(signed: bytes, project: str, version: int, store: Store) -> BundleManifest:
    address = bundle_address(project, version)
    try:
        manifest = BundleManifest.model_validate(read_signed(signed, store))
    except (ContractViolationError, ValidationError) as error:
        raise ContractViolationError(f"the seal of bundle {address} does not hold: {error}") from error
    if (manifest.project, manifest.version) != (project, version):
        raise ContractViolationError(f"bundle {address} is that of {manifest.project} version {manifest.version}")
    return manifest


def _read_files(manifest: BundleManifest, address: str, erased: Collection[str], store: Store) -> dict[str, bytes]:
    present = {one.removeprefix(f"{address}/") for one in store.list(address)} - {MANIFEST}
    missing, foreign = manifest.files.keys() - present - set(erased), present - manifest.files.keys()
    if missing or foreign:
        raise ContractViolationError(
            f"bundle {address} is not as it was sealed: missing {sorted(missing)}, added {sorted(foreign)}; restore it "
            "from a backup"
        )
    files = {name: store.read(f"{address}/{name}") for name in sorted(present)}
    changed = [name for name, data in files.items() if digest_bytes(data) != manifest.files[name]]
    if changed:
        raise ContractViolationError(f"bundle {address} was changed: {', '.join(changed)}; restore it from a backup")
    return files


def _measure_difference(manifest: BundleManifest, address: str, files: Mapping[str, bytes]) -> float:
    graph, left = open_graph(files[GRAPH]), [probe for probe in manifest.probes if probe.file in files]
    worst = max((_ask(graph, files[probe.file], probe.probabilities) for probe in left), default=0.0)
    if not worst <= manifest.tolerance:
        raise ContractViolationError(
            f"bundle {address} answers with probabilities that are {worst:.2e} off; {manifest.tolerance:.2e} is "
            f"allowed. It was sealed with ONNX Runtime {manifest.environment['onnxruntime']}"
        )
    return worst


def _ask(graph: onnxruntime.InferenceSession, data: bytes, sealed: Sequence[float]) -> float:
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    found = run_graph(graph, image[None])[0].astype(float)
    # A NaN would compare as no difference at all.
    return float(np.nan_to_num(np.abs(found - np.asarray(sealed)), nan=np.inf).max())
