"""Make a candidate of a model that was trained elsewhere."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from mlflow.entities import Param
from numpy.typing import NDArray
from safetensors import SafetensorError

from include.contracts import DatasetRef, Digest, ModelRef
from include.errors import ContractViolationError, DataQualityError, ParityError
from include.ledger import Ledger
from include.ledger.models import find_candidate, record_candidate
from include.project import Project, TrainingConfig
from include.storage import Store, digest_bytes
from include.tracking import KEY_TAG, MODEL_FOLDER, TRAINER_TAG, Tracking
from include.training.provenance import describe_environment, digest_code
from include.training.runs import finishing, open_run
from include.vision.examination import examine_graph
from include.vision.export import measure_parity
from include.vision.foreign import ForeignModel
from include.vision.graphs import export_once
from include.vision.images import read_split
from include.vision.networks import Classifier, build_classifier
from include.vision.releases import open_graph
from include.vision.weights import load_classifier, save_classifier, save_graph

logger = logging.getLogger(__name__)

INBOX = "models"
IMPORTED_TAG = "windhover.imported"
# Enough to see that a model answers, and that its export answers alike; the gates measure it in full.
IMAGES = 64


def inbox_address(project: str, file: str) -> str:
    """Address, below the drop folders of all projects, of a model file that was delivered for import."""
    return f"{project}/{INBOX}/{file}"


def import_key(project: Project, dataset: DatasetRef, foreign: ForeignModel) -> Digest:
    """Digest of (project, dataset it is judged on, model file, sheet)."""
    parts = [project.name, dataset.digest, foreign.digest, _digest_sheet(foreign)]
    return digest_bytes(json.dumps(parts).encode())


def import_model(
    foreign: ForeignModel,
    project: Project,
    dataset: DatasetRef,
    store: Store,
    ledger: Ledger,
    tracking: Tracking,
    run_name: str,
    imported_by: str | None = None,
) -> ModelRef:
    """Make a candidate of a model from elsewhere, or find the one made of the same file, sheet and dataset.

    It stands where a trained one would: the gates of the project judge it on the sealed images of the dataset.

    :param imported_by: Who asked for it by hand, and cannot approve the model.
    :raises ContractViolationError: the model cannot be used; the message says why, and what to do.
    :raises ParityError: joined with our preprocessing, it answers differently.
    :raises DataQualityError: the dataset has no validation images to try it on.
    """
    _check_classes(foreign, project)
    key = import_key(project, dataset, foreign)
    model = find_candidate(ledger, key)
    if model and tracking.holds_model(model):
        logger.info("already imported: %s", tracking.run_url(model.run_id))
        return model
    images = _read_images(project, dataset, store)
    with tempfile.TemporaryDirectory(prefix="windhover-import-") as scratch:
        folder = Path(scratch)
        weights = _save(foreign, folder)
        tags = _tags(project, dataset, foreign, key, imported_by)
        run_id = open_run(tracking, project.name, tags, run_name)
        with finishing(tracking, run_id):
            made = ModelRef(
                project=project.name, key=key, run_id=run_id, weights=weights, dataset=dataset, imported=True
            )
            _try_out(made, folder, images, project, store)
            _log(foreign, folder, weights, run_id, tracking)
    return record_candidate(ledger, made, lost=model)


def _check_classes(foreign: ForeignModel, project: Project) -> None:
    theirs, ours = set(foreign.sheet.classes), set(project.classes)
    if theirs != ours:
        raise ContractViolationError(
            f"{foreign.address}: its classes are not those of {project.name}; missing: "
            f"{', '.join(sorted(ours - theirs)) or '-'}; unknown: {', '.join(sorted(theirs - ours)) or '-'}"
        )


def _save(foreign: ForeignModel, folder: Path) -> Digest:
    """Write the model as every candidate is kept; return the digest of its weights."""
    if foreign.format == "onnx":
        examine_graph(foreign.data, foreign.sheet)
        return save_graph(foreign.data, foreign.sheet, folder)
    sheet = foreign.sheet
    if (sheet.channels, sheet.layout, sheet.output) != ("rgb", "nchw", "logits") or not sheet.architecture:
        raise ContractViolationError(
            f"{foreign.address}: safetensors need an `architecture` in the sheet, and no channels, layout or output "
            "other than rgb, nchw and logits; export other models to ONNX"
        )
    training = TrainingConfig(architecture=sheet.architecture, image_size=sheet.image_size)
    classifier = build_classifier(training, len(sheet.classes))
    _load_tensors(foreign, classifier)
    classifier.preprocess.set_statistics(sheet.mean, sheet.std)
    return save_classifier(classifier, training, sheet.classes, folder)


def _load_tensors(foreign: ForeignModel, classifier: Classifier) -> None:
    try:
        tensors = safetensors.torch.load(foreign.data)
        classifier.network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise ContractViolationError(
            f"{foreign.address} does not fit {foreign.sheet.architecture} with {len(foreign.sheet.classes)} classes: "
            f"{' '.join(str(error).split())[:400]}; save model.state_dict() of that very network"
        ) from error
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ContractViolationError(f"{foreign.address}: NaN or infinity in {', '.join(broken[:5])}; train it again")


def _read_images(project: Project, dataset: DatasetRef, store: Store) -> Sequence[NDArray[np.uint8]]:
    images = read_split(dataset, store, "validation", project.data).images[:IMAGES]
    if not images:
        raise DataQualityError(
            f"dataset version {dataset.version} of {project.name} has no validation images to try a model on; raise "
            "data.validation_share or ingest more days"
        )
    return images


def _try_out(
    model: ModelRef, folder: Path, images: Sequence[NDArray[np.uint8]], project: Project, store: Store
) -> None:
    """Answer real images, with and without our export, so that what cannot work fails now and not at its release."""
    classifier, _ = load_classifier(folder)
    if not np.isfinite(classifier.predict_probabilities(images)).all():
        raise ContractViolationError(
            "the model answers real images with NaN or infinity; check mean and std, or retrain"
        )
    parity = measure_parity(classifier, open_graph(export_once(model, folder, store)), images)
    allowed = project.deployment.max_parity_difference
    if not parity <= allowed:
        raise ParityError(
            f"joined with preprocessing, the model answers {len(images)} validation images up to {parity:.2e} "
            f"otherwise than alone; deployment.max_parity_difference allows {allowed:.2e}: export it with another opset"
        )


def _tags(
    project: Project, dataset: DatasetRef, foreign: ForeignModel, key: Digest, imported_by: str | None
) -> dict[str, str]:
    who = {TRAINER_TAG: imported_by} if imported_by else {}
    return (
        describe_environment(project)
        | who
        | {
            KEY_TAG: key,
            IMPORTED_TAG: foreign.digest,
            "windhover.dataset": dataset.digest,
            "windhover.dataset_version": str(dataset.version),
            "windhover.code": digest_code(),
            # What decides over the answers is the sheet, not the project's `training`.
            "windhover.configuration": _digest_sheet(foreign),
        }
    )


def _log(foreign: ForeignModel, folder: Path, weights: Digest, run_id: str, tracking: Tracking) -> None:
    sheet = foreign.sheet.model_dump(exclude_defaults=True) | {"file": foreign.address, "digest": foreign.digest}
    sheet["classes"] = ", ".join(foreign.sheet.classes)
    params = [Param(f"imported.{name}", str(value)[:6000]) for name, value in sheet.items()]
    with tracking.connect() as client:
        client.log_batch(run_id, params=params)
        client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
        client.set_tag(run_id, "windhover.weights", weights)


def _digest_sheet(foreign: ForeignModel) -> Digest:
    return digest_bytes(foreign.sheet.model_dump_json().encode())
