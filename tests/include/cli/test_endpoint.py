import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from include.cli.endpoint import ask_prediction, send_feedback
from include.errors import ContractViolationError, ServiceUnavailableError
from include.serving.app import create_app


@pytest.fixture
def image(tmp_path, png):
    path = tmp_path / "1.png"
    path.write_bytes(png)
    return path


@pytest.fixture
def served(serve, make_release, want, wait_until):
    want(make_release(7))
    serving = serve()
    wait_until(lambda: serving.state().get("live"), "a live release")
    return serving.uri


@pytest.fixture
def says():
    """An HTTP server that is no serving process."""
    servers = []

    def start(status, body):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_image_is_answered_and_its_label_taken(served, image, tmp_path):
    answer = ask_prediction(f"{served}/", "digits", image)
    assert (answer["project"], answer["predicted"]) == ("digits", "7")
    told = send_feedback(served, "digits", answer["request_id"], "3")
    assert told == {"request_id": answer["request_id"], "label": "3"}

    text = tmp_path / "notes.txt"
    text.write_text("no picture")
    with pytest.raises(ContractViolationError, match=r"serving refuses .*notes\.txt: begins like no file of PNG; send"):
        ask_prediction(served, "digits", text)
    with pytest.raises(ContractViolationError, match=r"refuses label 'cat': .* no class of digits; use one of: 0"):
        send_feedback(served, "digits", answer["request_id"], "cat")


def test_a_file_that_cannot_be_read_is_not_sent(tmp_path):
    for path, why in ((tmp_path / "none.png", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ContractViolationError, match=f"{path} cannot be read: {why}"):
            ask_prediction("http://127.0.0.1:9", "digits", path)


def test_feedback_about_another_projects_request_is_not_sent():
    with pytest.raises(ContractViolationError, match=r"'parts-0' is no request of digits; give the request_id"):
        send_feedback("http://127.0.0.1:9", "digits", "parts-0", "3")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "127.0.0.1:9", "http://[", "ftp://127.0.0.1"])
def test_where_nobody_serves_the_address_is_named(image, uri):
    with pytest.raises(ServiceUnavailableError) as raised:
        ask_prediction(uri, "digits", image)
    assert str(raised.value).startswith(f"serving at {uri} does not answer: ")


def test_no_release_is_no_fault_of_the_image(says, image):
    uri = says(503, b'{"error": "no_release", "reason": "digits has no release in service yet", "remedy": "deploy"}')
    with pytest.raises(ServiceUnavailableError, match=r"no answer for .*1\.png: digits has no release .*; deploy"):
        ask_prediction(uri, "digits", image)


def test_an_endpoint_with_enough_to_do_is_no_fault_of_the_image_either(says, image):
    uri = says(
        429, b'{"error": "overloaded", "reason": "128 images are being worked on", "remedy": "try again shortly"}'
    )
    with pytest.raises(ServiceUnavailableError, match="128 images are being worked on; try again shortly"):
        ask_prediction(uri, "digits", image)


def test_the_token_is_sent_and_its_lack_explained(settings, make_release, want, image, listen):
    want(make_release(7))
    app = create_app(settings.model_copy(update={"serving_token": "known"}))
    with listen(app) as uri:
        app.state.intake.service.plan.reconcile()
        answer = ask_prediction(uri, "digits", image, "known")
        assert answer["predicted"] == "7"
        assert send_feedback(uri, "digits", answer["request_id"], "3", "known")["label"] == "3"
        for token in ("", "unknown"):
            with pytest.raises(ContractViolationError, match=r"refuses .* no token, or a wrong one; .*SERVING_TOKEN"):
                ask_prediction(uri, "digits", image, token)


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"[1]"), (404, b"Not Found"), (500, b"{}")])
def test_another_server_at_the_address_is_recognised(says, image, status, body):
    with pytest.raises(ContractViolationError, match=rf"answers \({status}\), but not .*; check WINDHOVER_SERVING_URI"):
        ask_prediction(says(status, body), "digits", image)
