"""The MLflow server: runs, their artifacts, and links to them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from include.contracts import Digest, ModelRef
from include.errors import (
    ArtifactNotFoundError,
    ContractViolationError,
    PermanentError,
    ServiceUnavailableError,
    WindhoverError,
)
from include.settings import load_settings
from include.storage import digest_bytes

MODEL_FOLDER = "model"
# As include/vision/weights.py names it; importing that here would load torch wherever a link is made.
WEIGHTS = "weights.safetensors"
CURVES = "training/curves.png"
KEY_TAG = "windhover.key"
# Who started the training by hand: this person cannot approve it.
TRAINER_TAG = "windhover.trained_by"
ERASED_TAG = "windhover.learned_from_erased"

# MLflow's own defaults wait four minutes for a server that is not there; a task's retries do that better.
CLIENT_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
UNAVAILABLE = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED")
HTTP_NOT_FOUND = 404
HTTP_SERVER_ERROR = 500


def confusion_path(test_digest: Digest) -> str:
    """Path, in a run's artifacts, of the confusion matrix on one test split."""
    return f"{evaluation_folder(test_digest)}/confusion.png"


def calibration_path(test_digest: Digest) -> str:
    """Path, in a run's artifacts, of the reliability diagram on one test split."""
    return f"{evaluation_folder(test_digest)}/calibration.png"


def evaluation_folder(test_digest: Digest) -> str:
    """Folder, in a run's artifacts and metrics, of the evaluation on one test split."""
    return f"evaluation/{test_digest.removeprefix('sha256:')[:12]}"


class Tracking:
    """One MLflow server.

    :param uri: Its address, `http://host:port`.
    :param page: Its address for people, where a browser reaches it by another one.
    """

    def __init__(self, uri: str, page: str | None = None) -> None:
        self.uri = uri.rstrip("/")
        self.page = (page or uri).rstrip("/")
        for name, value in CLIENT_DEFAULTS.items():
            os.environ.setdefault(name, value)
        self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def connect(self) -> Iterator[MlflowClient]:
        """Lend MLflow's client; its failures leave the block as errors of this library.

        :raises ServiceUnavailableError: the server does not answer, or answers that it cannot.
        :raises ArtifactNotFoundError: the run, version or artifact asked for is not there.
        :raises ContractViolationError: the server refuses the request.
        """
        try:
            yield self._client
        except MlflowException as error:
            raise self._translate(error, error.error_code) from error
        except requests.RequestException as error:
            raise self._translate(error, _error_code(error)) from error

    def find_experiment(self, project: str) -> str:
        """Return the id of a project's experiment; make it, or bring it back from MLflow's bin, if need be."""
        with self.connect() as client:
            experiment = client.get_experiment_by_name(project)
            if experiment is None:
                return self._create_experiment(project)
            if experiment.lifecycle_stage == "deleted":
                client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)

    def holds_model(self, model: ModelRef) -> bool:
        """Tell whether a model's run is there and still has its weights."""
        try:
            with self.connect() as client:
                deleted = client.get_run(model.run_id).info.lifecycle_stage == "deleted"
                listed = {Path(file.path).name for file in client.list_artifacts(model.run_id, MODEL_FOLDER)}
        except ArtifactNotFoundError:
            return False
        return not deleted and WEIGHTS in listed

    def fetch_candidate(self, model: ModelRef) -> Path:
        """Download a model's folder, once per machine, and verify its weights.

        :raises ContractViolationError: the weights are not the ones that were trained.
        """
        kept = load_settings().home / "cache" / "models" / model.weights.removeprefix("sha256:")
        if _digest_weights(kept) == model.weights:
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching.") as scratch:
            fetched = self._download(model.run_id, MODEL_FOLDER, scratch)
            found = _digest_weights(fetched)
            if found != model.weights:
                raise ContractViolationError(
                    f"run {model.run_id} holds weights {found}, not {model.weights} as trained: "
                    "its artifacts were changed or cut short; train the model again"
                )
            _replace_folder(fetched, kept)
        return kept

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """Read one artifact of a run."""
        with tempfile.TemporaryDirectory() as scratch:
            return self._download(run_id, path, scratch).read_bytes()

    def run_url(self, run_id: str) -> str:
        """Page of a run in MLflow."""
        return f"{self.page}/#/runs/{run_id}"

    def model_url(self, project: str, version: int | None = None) -> str:
        """Page of a project's registered model in MLflow, or of one version."""
        page = f"{self.page}/#/models/{project}"
        return page if version is None else f"{page}/versions/{version}"

    def _download(self, run_id: str, path: str, folder: str) -> Path:
        try:
            with self.connect() as client:
                return Path(client.download_artifacts(run_id, path, folder))
        except ArtifactNotFoundError as error:
            raise ArtifactNotFoundError(
                f"run {run_id} has no artifact {path!r} in MLflow at {self.uri}; was the run deleted?"
            ) from error

    def _create_experiment(self, project: str) -> str:
        try:
            return str(self._client.create_experiment(project))
        except MlflowException as error:
            experiment = self._client.get_experiment_by_name(project)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                raise
            return str(experiment.experiment_id)

    def _translate(self, error: Exception, code: str) -> WindhoverError:
        reason = " ".join(str(error).split())[:400]
        if code in UNAVAILABLE:
            return ServiceUnavailableError(f"MLflow at {self.uri} does not answer: {reason}; see `make status`")
        kind: type[PermanentError] = ContractViolationError
        if code == "RESOURCE_DOES_NOT_EXIST":
            kind = ArtifactNotFoundError
        return kind(f"MLflow at {self.uri} refused ({code}): {reason}")


def _error_code(error: requests.RequestException) -> str:
    """Name a failed artifact transfer as MLflow names its other failures."""
    if error.response is None or error.response.status_code >= HTTP_SERVER_ERROR:
        return "TEMPORARILY_UNAVAILABLE"
    missing = error.response.status_code == HTTP_NOT_FOUND
    return "RESOURCE_DOES_NOT_EXIST" if missing else f"HTTP {error.response.status_code}"


def _digest_weights(folder: Path) -> Digest | None:
    weights = folder / WEIGHTS
    return digest_bytes(weights.read_bytes()) if weights.is_file() else None


def _replace_folder(source: Path, target: Path) -> None:
    """Put a verified folder in place of nothing, or of a damaged one; whoever comes second finds it there."""
    if target.exists() and _digest_weights(target) != _digest_weights(source):
        shutil.rmtree(target, ignore_errors=True)
    try:
        source.rename(target)
    except OSError:
        if _digest_weights(target) != _digest_weights(source):
            raise
