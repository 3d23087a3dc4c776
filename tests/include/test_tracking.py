import http.server
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from include.contracts import DatasetRef, ModelRef
from include.errors import ArtifactNotFoundError, ContractViolationError, ServiceUnavailableError
from include.storage import digest_bytes
from include.tracking import Tracking

WEIGHTS = b"weights"


@pytest.fixture
def model(tracking, tmp_path):
    """A run that holds something called weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(WEIGHTS)
    (folder / "model.json").write_text("{}")
    with tracking.connect() as client:
        run_id = client.create_run(tracking.find_experiment("tracking")).info.run_id
        client.log_artifacts(run_id, str(folder), "model")
    return refer(run_id)


def refer(run_id, weights=WEIGHTS):
    digest = digest_bytes(b"x")
    dataset = DatasetRef(project="p", address="p/images.lance", version=1, digest=digest, images=1, labelled=1)
    return ModelRef(project="p", key=digest, run_id=run_id, weights=digest_bytes(weights), dataset=dataset)


def test_fetches_a_model_once(tracking, model, home):
    folder = tracking.fetch_candidate(model)
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    with tracking.connect() as client:
        client.delete_run(model.run_id)
    assert tracking.fetch_candidate(model) == folder
    assert folder.is_relative_to(home)


def test_fetches_again_when_the_kept_copy_is_damaged(tracking, model):
    weights = tracking.fetch_candidate(model) / "weights.safetensors"
    weights.write_bytes(b"")
    tracking.fetch_candidate(model)
    assert weights.read_bytes() == WEIGHTS


def test_two_at_once_fetch_one_model(tracking, model):
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: tracking.fetch_candidate(model), range(4)))
    assert len(folders) == 1
    assert [path.name for path in folders.pop().parent.iterdir()] == [model.weights.removeprefix("sha256:")]


def test_weights_that_were_changed_are_refused(tracking, model):
    with pytest.raises(ContractViolationError, match=r"not sha256:.* as trained"):
        tracking.fetch_candidate(refer(model.run_id, weights=b"others"))


def test_a_model_that_is_gone_says_so(tracking):
    with pytest.raises(ArtifactNotFoundError, match="0123456789"):
        tracking.fetch_candidate(refer("0123456789abcdef0123456789abcdef"))


def test_a_run_without_a_model_says_so(tracking):
    with tracking.connect() as client:
        run_id = client.create_run(tracking.find_experiment("tracking")).info.run_id
    with pytest.raises(ArtifactNotFoundError, match=run_id):
        tracking.fetch_candidate(refer(run_id))
    assert not tracking.holds_model(refer(run_id))


def test_knows_whether_a_model_is_still_there(tracking, model):
    assert tracking.holds_model(model)
    assert not tracking.holds_model(refer("0123456789abcdef0123456789abcdef"))
    with tracking.connect() as client:
        client.delete_run(model.run_id)
    assert not tracking.holds_model(model)


def test_a_dead_server_is_reported_fast_with_its_address(dead_tracking):
    started = time.monotonic()
    with pytest.raises(ServiceUnavailableError, match=rf"MLflow at {dead_tracking.uri} .* `make status`"):
        dead_tracking.find_experiment("digits")
    assert time.monotonic() - started < 15


def test_a_dead_server_is_reported_when_a_model_is_fetched(dead_tracking):
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        dead_tracking.fetch_candidate(refer("0123456789abcdef0123456789abcdef"))


def test_a_server_that_is_no_mlflow_is_refused(home):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403, "Invalid Host header")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ContractViolationError, match="refused"):
            Tracking(f"http://127.0.0.1:{server.server_port}").find_experiment("digits")
        server.shutdown()


def test_an_experiment_is_made_once_and_comes_back_from_the_bin(tracking):
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(tracking.find_experiment, ["several"] * 4))
    assert len(ids) == 1
    with tracking.connect() as client:
        client.delete_experiment(next(iter(ids)))
    assert tracking.find_experiment("several") in ids
    with tracking.connect() as client:
        assert client.get_experiment_by_name("several").lifecycle_stage == "active"


def test_links_lead_to_pages_of_the_server():
    tracking = Tracking("http://127.0.0.1:5500/")
    assert tracking.run_url("abc") == "http://127.0.0.1:5500/#/runs/abc"
    assert tracking.model_url("digits", 3) == "http://127.0.0.1:5500/#/models/digits/versions/3"
    assert tracking.model_url("digits") == "http://127.0.0.1:5500/#/models/digits"
