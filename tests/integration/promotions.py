"""Candidates of a project in which a person approves every promotion, without a training."""

import lance
import pyarrow as pa
import torch

from examples.story.airflow_client import AirflowClient
from include.contracts import DatasetRef, ModelRef
from include.ledger.models import record_candidate
from include.project import load_project
from include.registry.certificate import ORIGIN
from include.settings import REPOSITORY
from include.storage import digest_bytes
from include.tracking import MODEL_FOLDER, TRAINER_TAG, Tracking
from include.vision.images import digest_rows
from include.vision.networks import build_classifier
from include.vision.schema import IMAGES
from include.vision.weights import save_classifier
from tests.include.rows import make_row

SIGNS = "signs"
DAG = f"{SIGNS}.promote_model"
TASK = "approve_promotion"


class Promotions:
    """Puts candidates before an approver, and answers as one."""

    def __init__(self, stack, ledger, store, folder):
        self.stack, self.ledger, self.store, self.folder = stack, ledger, store, folder
        self.airflow = AirflowClient(stack.airflow_url, stack.password)
        self.airflow.http.timeout = 120
        digits = (REPOSITORY / "include" / "projects" / "digits.yaml").read_text()
        # Whoever is asked sees a model that never learned: what counts here is who answers, and what comes of it.
        wanted = digits.replace("name: digits", f"name: {SIGNS}").replace("approval: first_release", "approval: always")
        wanted = wanted.replace("min_accuracy: 0.85", "min_accuracy: 0").replace("recall: 0.60", "recall: 0")
        (stack.projects / f"{SIGNS}.yaml").write_text(wanted)
        self.project = load_project(stack.projects / f"{SIGNS}.yaml")
        self.airflow.unpause(DAG)

    def publish(self, pairs):
        """Write images and labels as a dataset version of which every image is sealed."""
        rows = [make_row(image, label, index, split="test") for index, (image, label) in enumerate(pairs)]
        table, address = pa.Table.from_pylist(rows, schema=IMAGES), f"{SIGNS}/images.lance"
        version = lance.write_dataset(table, self.store.uri(address), mode="create").version
        counts = {"images": len(rows), "labelled": len(rows)}
        return DatasetRef(project=SIGNS, address=address, version=version, digest=digest_rows(table), **counts)

    def announce(self, dataset, trainer):
        """Record a candidate that a person trained, and announce it as the training does."""
        torch.manual_seed(1)
        training, classes = self.project.training, self.project.classes
        weights = save_classifier(build_classifier(training, len(classes)), training, classes, self.folder)
        tracking, key = Tracking(self.stack.mlflow_url), digest_bytes(trainer.encode())
        tags = {tag: digest_bytes(name.encode()) for name, tag in ORIGIN.items()} | {TRAINER_TAG: trainer}
        with tracking.connect() as client:
            run = client.create_run(tracking.find_experiment(SIGNS), tags=tags).info.run_id
            client.log_artifacts(run, str(self.folder), MODEL_FOLDER)
        model = ModelRef(project=SIGNS, key=key, run_id=run, weights=weights, dataset=dataset)
        record_candidate(self.ledger, model)
        self._send(model)
        return model

    def _send(self, model):
        name = f"{SIGNS}.candidate_model"
        (asset,) = self.airflow._call("GET", f"/assets?name_pattern={name}")["assets"]
        body = {"asset_id": asset["id"], "extra": model.model_dump(mode="json")}
        self.airflow._call("POST", "/assets/events", body)

    def ask(self, model):
        """Start a promotion, and return its run once it waits for an answer."""
        run = self.airflow.trigger(DAG)
        self.wait_for_question(run)
        return run

    def wait_for_question(self, run):
        for _ in self.airflow._until(300, f"{run} to ask for an approval"):
            states = self.airflow.task_states(DAG, run)
            assert "failed" not in states.values(), states
            if states.get(TASK) == "awaiting_input":
                return

    def read_question(self, run):
        return self.airflow._call("GET", self._path(run))

    def answer(self, run, option, reason):
        """Answer as the admin, and return the state of every task once the run ended."""
        self.airflow.answer_until_done(DAG, run, TASK, option, reason)
        for _ in self.airflow._until(300, f"{run} to end"):
            if self.airflow._call("GET", f"/dags/{DAG}/dagRuns/{run}")["state"] in {"success", "failed"}:
                break
        return self.airflow.task_states(DAG, run)

    def read_log(self, run):
        """Return the log of the newest attempt of the question."""
        (attempt,) = [task["try_number"] for task in self.airflow.tasks(DAG, run) if task["task_id"] == TASK]
        path = f"/api/v2/dags/{DAG}/dagRuns/{run}/taskInstances/{TASK}/logs/{attempt}"
        return self.stack.airflow.get(path, headers={"Accept": "application/json"}).raise_for_status().text

    def clear(self, run):
        """Clear what failed, as people do to ask again."""
        self.airflow._call("POST", f"/dags/{DAG}/dagRuns/{run}/clear", {"dry_run": False, "only_failed": True})

    @staticmethod
    def _path(run):
        return f"/dags/{DAG}/dagRuns/{run}/taskInstances/{TASK}/-1/hitlDetails"
