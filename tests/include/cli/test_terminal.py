import inspect
import json
import logging

import pytest
import typer
import yaml
from typer.testing import CliRunner

from include import errors
from include.cli.terminal import reporting
from include.contracts import BatchRef

BATCH = BatchRef(project="digits", partition="2026-11-02", uri="/landing/digits/2026-11-02", images=3)
BAD_INPUT = {"ContractViolationError", "ProjectFileError", "ArtifactNotFoundError", "DataQualityError"}
KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind)]


@pytest.fixture
def end():
    """Run a verb that does what it is given, and return how it ended."""

    def run(work, *words):
        app = typer.Typer()

        @app.command()
        @reporting
        def verb(as_json: bool = typer.Option(False, "--json")):
            return work()

        return CliRunner().invoke(app, list(words))

    return run


def fail(error):
    raise error


def test_stdout_holds_one_json_document_whatever_libraries_print(end):
    def work():
        print("Registered model 'digits'")  # noqa: T201 - as MLflow does
        return BATCH

    ended = end(work, "--json")
    assert ended.exit_code == 0
    assert BatchRef.model_validate_json(ended.stdout) == BATCH
    assert "Registered model" in ended.stderr


def test_a_report_for_people_keeps_every_character_on_its_line(end):
    report = {"reasons": ["[red]1.png[/red] :smile: is 4 px", "f " * 500], "release": f"sha256:{'a' * 64}", "low": None}
    ended = end(lambda: report)
    assert yaml.safe_load(ended.stdout) == report
    assert f"release: {report['release']}\n" in ended.stdout
    assert len(ended.stdout.splitlines()) == 5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_exit_code_tells_bad_input_from_failed_work(end, kind):
    ended = end(lambda: fail(kind("nothing at 'a'; look there")), "--json")
    assert ended.exit_code == (2 if kind.__name__ in BAD_INPUT else 1)
    assert (ended.stdout, ended.stderr) == ("", "error: nothing at 'a'; look there\n")


def test_a_message_of_several_lines_becomes_one_and_loses_nothing(end):
    message = "row [red]7[/red]\n  of\tmanifest.csv :warning: " + "x" * 300
    ended = end(lambda: fail(errors.DataQualityError(message)))
    assert ended.stderr == f"error: {' '.join(message.split())}\n"


def test_the_line_is_red_where_colours_show(end, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert end(lambda: fail(errors.ParityError("differs"))).stderr.startswith("\x1b[31merror: differs")


def test_a_full_disk_is_one_line(end):
    ended = end(lambda: fail(OSError(28, "No space left on device", "/store/x")))
    assert ended.exit_code == 1
    assert ended.stderr == "error: [Errno 28] No space left on device: '/store/x'\n"


def test_an_interruption_is_one_line(end):
    ended = end(lambda: fail(KeyboardInterrupt()))
    assert ended.exit_code == 130
    assert ended.stdout == ""
    assert ended.stderr.startswith("interrupted; ")


def test_a_bug_is_not_passed_off_as_bad_input(end):
    ended = end(lambda: fail(ZeroDivisionError("division by zero")))
    assert isinstance(ended.exception, ZeroDivisionError)
    assert "error: " not in ended.stderr


def test_looks_at_the_serving_process_are_not_logged(end, caplog):
    caplog.set_level(logging.INFO)
    end(lambda: logging.getLogger("httpx").info("GET /v1/release") or logging.getLogger("include.x").info("epoch 1"))
    assert caplog.messages == ["epoch 1"]


def test_text_beyond_ascii_survives_both_ways(end):
    report = {"class": "größer als ½"}
    assert json.loads(end(lambda: report, "--json").stdout) == report
    assert end(lambda: report).stdout == "class: größer als ½\n"
