"""Small real releases, and real serving processes to serve them."""

import contextlib
import io
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from include.contracts import (
    ApprovalReport,
    DatasetRef,
    EvaluationReport,
    ModelRef,
    ModelVersionRef,
    PromotionDecision,
    ReleasePlan,
    ReleaseRef,
)
from include.contracts.governance import Certificate
from include.ledger.plans import append_plan
from include.ledger.releases import lock_service, record_release
from include.project import Project
from include.serving.app import create_app
from include.settings import REPOSITORY, Settings
from include.storage import digest_bytes
from include.storage.signing import Signer
from include.vision.releases import (
    CERTIFICATE,
    GRAPH,
    REFERENCE,
    DecodingLimits,
    GoldenImage,
    ReleaseManifest,
    open_graph,
    publish_bundle,
    run_graph,
)
from tests.rollouts import serve as roll_out

SHA = "sha256:" + "a" * 64
PATIENCE = 30.0


def encode_png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def png() -> bytes:
    """One grey image as a PNG file."""
    return encode_png(np.full((32, 32, 3), 90, dtype=np.uint8))


@pytest.fixture(scope="session")
def wait_until():
    """Wait for a condition and return what it returned, or fail."""

    def wait(condition, what: str):
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE:g} s for {what}")
            time.sleep(0.02)
        return found

    return wait


def build_graph(classes: int, favourite: int, *, fails_above: int | None = None, embedding: bool = False) -> bytes:
    """Score images by their mean brightness, with a leaning towards one class.

    :param fails_above: Brightness, 0-255, above which every probability is NaN.
    :param embedding: Whether the graph also tells the brightness as its embedding.
    """
    weights = np.linspace(-1, 1, classes, dtype=np.float32)[None, :]
    bias = np.eye(classes, dtype=np.float32)[favourite] * 5
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["brightness"], keepdims=0),
        helper.make_node("Reshape", ["brightness", "column"], ["feature"]),
        helper.make_node("Sub", ["limit", "feature"], ["room"]),
        helper.make_node("Sqrt", ["room"], ["root"]),
        helper.make_node("Sub", ["root", "root"], ["nothing"]),
        helper.make_node("Add", ["feature", "nothing"], ["checked"]),
        helper.make_node("Div", ["checked", "scale"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "axes": np.array([1, 2, 3]),
        "column": np.array([-1, 1]),
        "limit": np.array([256 if fails_above is None else fails_above], dtype=np.float32),
        "scale": np.array([255], dtype=np.float32),
        "weights": weights,
        "bias": bias,
    }
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])]
    if embedding:
        outputs.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 1]))
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def build_reference(answers: list[str], usual: Sequence[float]) -> bytes:
    """What a release answered to its validation images, as far as serving reads it.

    :param usual: Their brightness, 0-255, which is what the network sees in them; empty: it tells nothing.
    """
    columns = {"predicted": answers}
    if len(usual):
        confidence = np.linspace(0.9, 1, len(usual))
        columns |= {"embedding": [[grey / 255] for grey in usual], "confidence": confidence}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def certify(version: ModelVersionRef, graph: bytes, project: Project) -> dict:
    """Certificate of a version that was promoted without a rival, to be signed."""
    report = EvaluationReport(
        model=version.model,
        test_digest=SHA,
        images=10,
        accuracy=0.9,
        macro_f1=0.9,
        worst_class_recall=0.9,
        recall_by_class=dict.fromkeys(project.classes, 0.9),
        accuracy_by_partition={"2026-03-01": 0.9},
    )
    certificate = Certificate(
        version=version.version,
        model=version.model,
        graph=digest_bytes(graph),
        code=SHA,
        lock=SHA,
        configuration=SHA,
        decision=PromotionDecision(verdict="promote", candidate=report, reasons=("accuracy 0.9 is enough",)),
        policy=project.promotion.model_dump(mode="json"),
        approvals=(ApprovalReport(approver="Someone", reason="looked at it", at=datetime(2026, 3, 1, tzinfo=UTC)),),
        issued_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    return certificate.model_dump(mode="json")


@pytest.fixture
def make_release(store, ledger, project, tmp_path):
    """Publish and record a release that favours the class of its version number.

    Its certificate, and the bytes that are carried of it once it is signed, can be spoiled.
    """
    signer = Signer(tmp_path / "home", store)

    def make(  # noqa: PLR0913 - each is another way to be a release
        version: int = 1,
        *,
        name: str = "digits",
        answers=None,
        max_bytes: int = 100_000,
        fails_above: int | None = None,
        embedding: bool = False,
        usual: Sequence[float] = (),
        spoil=lambda document: document,
        spoil_signed=lambda signed: signed,
    ) -> ReleaseRef:
        favourite = version % len(project.classes)
        exported = build_graph(len(project.classes), favourite, fails_above=fails_above, embedding=embedding)
        image = np.full((20, 20, 3), 10 * version % 256, dtype=np.uint8)
        found = run_graph(open_graph(exported), image[None])[0] if answers is None else np.asarray(answers)
        golden = GoldenImage(
            file="golden/000.png",
            probabilities=tuple(found.tolist()),
            predicted=project.classes[int(found.argmax())],
        )
        manifest = ReleaseManifest(
            project=name,
            classes=project.classes,
            model_version=version,
            model_key=SHA,
            weights=SHA,
            dataset=SHA,
            decoding=DecodingLimits(formats=("PNG",), max_bytes=max_bytes, max_pixels=1_000_000),
            golden=(golden,),
            tolerance=1e-4,
        )
        files = {
            GRAPH: exported,
            golden.file: encode_png(image),
            REFERENCE: build_reference([project.classes[favourite]] * (len(usual) or 6), usual),
        }
        dataset = DatasetRef(project=name, address=f"{name}/images.lance", version=1, digest=SHA, images=1, labelled=1)
        model = ModelRef(project=name, key=SHA, run_id="run", weights=SHA, dataset=dataset)
        certified = ModelVersionRef(model=model, version=version, accuracy=0.9)
        signed = spoil_signed(signer.sign(spoil(certify(certified, exported, project))))
        address, digest = publish_bundle(store, manifest, files if signed is None else {**files, CERTIFICATE: signed})
        release = ReleaseRef(model=certified, address=address, digest=digest, parity=0.0)
        record_release(ledger, release)
        return release

    return make


@pytest.fixture
def want(ledger):
    """Name a release as the one to serve."""
    runs = iter(range(1_000_000))
    return lambda release: roll_out(ledger, release, f"run-{next(runs)}")


@pytest.fixture
def follow(ledger):
    """Make a plan the newest one of its project, whatever came before; give it as it stands in the ledger."""

    def append(champion: ReleaseRef, candidate: ReleaseRef | None = None, **changes) -> ReleasePlan:
        project = champion.model.model.project
        plan = ReleasePlan(project=project, revision=1, champion=champion, candidate=candidate, **changes)
        with ledger.begin() as connection:
            lock_service(connection, project)
            return append_plan(connection, plan, "a test")

    return append


@pytest.fixture
def settings(store, ledger_uri, tmp_path) -> Settings:
    return Settings(home=tmp_path / "home", store=store.root, ledger_uri=ledger_uri)


@pytest.fixture
def client(settings, make_release, want):
    """Client of an app in this process that answers with version 7."""
    want(make_release(7))
    with TestClient(create_app(settings)) as client:
        client.app.state.intake.service.plan.reconcile()
        yield client


@pytest.fixture
def listen():
    """Put an app of this process behind a real server, for as long as the block lasts; gives its address."""

    @contextlib.contextmanager
    def run(app):
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            while not server.started and thread.is_alive():
                thread.join(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True
            thread.join(PATIENCE)

    return run


@pytest.fixture
def ledger_switch(ledger_uri):
    """URL of the same ledger on a socket of its own, and a context manager that makes it unreachable."""
    folder = Path(tempfile.mkdtemp(prefix="wh-"))
    folder.chmod(0o755)
    url = sa.make_url(ledger_uri)
    link = folder / "socket"
    target = url.query["host"]
    link.symlink_to(str(target))

    @contextlib.contextmanager
    def away():
        link.unlink()
        yield
        link.symlink_to(str(target))

    yield url.set(query={**url.query, "host": str(link)}).render_as_string(hide_password=False), away
    shutil.rmtree(folder)


class ServingProcess:
    """One `python -m include.serving`."""

    def __init__(self, settings: Settings, ledger_uri: str | None = None) -> None:
        environment = {
            **os.environ,
            "WINDHOVER_HOME": str(settings.home),
            "WINDHOVER_STORE": settings.store,
            "WINDHOVER_LEDGER_URI": ledger_uri or settings.ledger_uri,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "include.serving", "--port", "0"],
            cwd=REPOSITORY,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        address: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_log, args=(address,), daemon=True).start()
        self.uri = address.get(timeout=PATIENCE)

    def _read_log(self, address: "queue.Queue[str]") -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                address.put(found[1])

    def state(self, project: str = "digits") -> dict:
        return httpx.get(f"{self.uri}/v1/release").json()["projects"].get(project, {})

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(PATIENCE)


@pytest.fixture
def serve(settings):
    """Start serving processes that end with the test."""
    started: list[ServingProcess] = []

    def start(ledger_uri: str | None = None) -> ServingProcess:
        started.append(ServingProcess(settings, ledger_uri))
        return started[-1]

    yield start
    for process in started:
        process.end(signal.SIGKILL)


class Load:
    """Client threads that ask for predictions until told to stop, and remember every answer."""

    def __init__(self, uri: str, png: bytes, threads: int) -> None:
        self.answers: list[dict] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(uri, png), daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _ask(self, uri: str, png: bytes) -> None:
        with httpx.Client() as client:
            while not self._stop.is_set():
                try:
                    response = client.post(f"{uri}/v1/predict", content=png)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    return
                if response.status_code == 200:
                    self.answers.append(response.json())
                else:
                    self.failures.append(f"{response.status_code} {response.text}")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def load(png):
    """Start client threads against an address."""
    return lambda uri, threads=4: Load(uri, png, threads)


@pytest.fixture
def spill(settings):
    """Rows that lie in segments right now, as JSON."""

    def read() -> list[dict]:
        paths = (settings.home / "serving" / "segments").glob("*.jsonl")
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    return read
