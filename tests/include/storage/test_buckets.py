import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import lance
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from include.errors import ArtifactNotFoundError, ContractViolationError, ServiceUnavailableError
from include.storage import Store, buckets


class Doorman(BaseHTTPRequestHandler):
    """Let nobody in."""

    def refuse(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def call_everything(store: Store, folder: Path):
    names = ("read", "open", "fetch", "exists", "list", "remove")
    calls = [lambda name=name: getattr(store, name)("a") for name in names]
    return [*calls, lambda: store.write("a", b""), lambda: store.publish_folder(folder, "a")]


def test_a_server_that_goes_away_may_come_back(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(buckets, "RETRIES", 1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    httpx.put(f"{endpoint}/bucket", trust_env=False).raise_for_status()
    store = Store("s3://bucket/store")
    store.write("a", b"x" * 5_000_000)
    with store.open("a") as file:
        assert file.read(1) == b"x"
        server.stop()
        calls = [lambda: file.seek(3_000_000) and file.read(), *call_everything(store, tmp_path)]
        for call in calls:
            with pytest.raises(ServiceUnavailableError, match=r"'a' in store s3://.*check that the object store is up"):
                call()


def test_denied_access_is_no_matter_of_time(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Doorman)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    for call in call_everything(Store(s3_bucket), tmp_path):
        with pytest.raises(ContractViolationError, match="check the credentials"):
            call()
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("s3_bucket")
def test_a_bucket_that_is_not_there_is_said(tmp_path: Path):
    store = Store("s3://no-such-bucket")
    for call in (lambda: store.list("a"), lambda: store.write("a", b""), lambda: store.publish_folder(tmp_path, "a")):
        with pytest.raises(ArtifactNotFoundError, match="does the bucket exist"):
            call()


def test_an_http_endpoint_is_enough_for_lance_too(s3_bucket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    store = Store(s3_bucket)
    store.write("file", b"x")
    assert lance.write_dataset(pa.table({"row": [1]}), store.uri("rows.lance")).count_rows() == 1
