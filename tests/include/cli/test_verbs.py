import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import typer.main

from include.cli.verbs import app
from include.project import Project
from include.settings import REPOSITORY

DAY = "2026-11-02"
HEAVY = {"torch", "mlflow", "sqlalchemy", "great_expectations", "evidently", "lance", "pandas", "httpx", "airflow"}


def complaint(ended, code):
    """The one line that a verb left behind when it failed."""
    assert (ended.exit_code, ended.stdout) == (code, ""), ended.output
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0].removeprefix("error: ")


def list_verbs(group):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from list_verbs(command)
        else:
            yield name, command


def test_every_verb_takes_a_project_and_can_answer_in_json():
    for name, command in list_verbs(typer.main.get_command(app)):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--project", "--json"} <= options, name
        assert command.help, name


def test_json_is_all_there_is_on_stdout_and_logs_go_elsewhere(machine, execute):
    machine.deliver(DAY)
    linted = execute("lint", "--json")
    assert Project.model_validate_json(linted.stdout).name == machine.project
    ingested = execute("ingest", "--day", DAY, "--json")
    assert ingested.returncode == 0, ingested.stderr
    assert json.loads(ingested.stdout)["images"] == 40
    assert "Traceback" not in ingested.stderr


def test_a_verb_loads_what_it_needs_and_no_more(machine):
    probe = (
        "import sys; from include.cli.verbs import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", probe, "lint", "--project", machine.project]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "include.cli.workplace" in loaded.stderr.split()
    assert HEAVY.isdisjoint(loaded.stderr.split())


def test_a_failed_verb_shows_one_line_and_no_traceback(execute, tmp_path):
    (tmp_path / "1.png").write_bytes(b"x")
    ended = execute("predict", str(tmp_path / "1.png"), "--json")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "serving at http://127.0.0.1:9 does not answer" in ended.stderr
    assert "make status" in ended.stderr


def test_an_option_that_does_not_exist_is_bad_input(execute):
    ended = execute("train", "--epochs", "3")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--epochs" in ended.stderr


@pytest.mark.parametrize("name", ["digit", "../projects/digits", ""])
def test_an_unknown_project_names_the_known_ones(machine, invoke, name):
    known, machine.project = machine.project, name
    line = complaint(invoke("lint"), 2)
    assert f"no project {name!r} in {machine.projects}, which holds {known};" in line
    assert "make new-project" in line


def test_an_unknown_key_is_answered_with_a_suggestion(machine, invoke):
    machine.write_project(training={"epoch": 3})
    line = complaint(invoke("train"), 2)
    assert line.endswith(f"{machine.project}.yaml: training.epoch: unknown key; did you mean 'epochs'?")


def test_without_a_ledger_it_says_how_to_name_one(machine, invoke, monkeypatch):
    monkeypatch.delenv("WINDHOVER_LEDGER_URI")
    machine.deliver(DAY)
    for words in (["train"], ["ingest", "--day", DAY], ["rollback"]):
        assert "WINDHOVER_LEDGER_URI is not set; for the embedded stack run: eval" in complaint(invoke(*words), 2)
    assert not (machine.landing.parent / "store").exists()


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "../2026-11-02"])
def test_a_bad_day_is_named(machine, invoke, day):
    machine.deliver(DAY)
    assert f"partition {day!r} is no day; name one like" in complaint(invoke("ingest", "--day", day), 2)


def test_a_missing_delivery_says_which_file_is_waited_for(machine, invoke):
    machine.deliver(DAY)
    place = machine.landing / machine.project / "2026-11-03"
    line = complaint(invoke("ingest", "--day", "2026-11-03"), 2)
    assert f"no complete delivery at {place}; deliver it and write _SUCCESS last" in line


def test_a_missing_landing_folder_is_bad_input(machine, invoke):
    assert f"no folder {machine.landing}; create it" in complaint(invoke("validate", "--day", DAY), 2)


def test_a_bad_delivery_names_its_file(machine, invoke):
    (machine.deliver(DAY) / "manifest.csv").write_text("file\n")
    assert "manifest.csv, line 1: the header lacks" in complaint(invoke("validate", "--day", DAY), 2)


def test_a_dead_mlflow_fails_the_work(machine, invoke):
    machine.deliver(DAY, images=120)
    assert invoke("ingest", "--day", DAY).exit_code == 0
    line = complaint(invoke("train"), 1)
    assert line.startswith("MLflow at http://127.0.0.1:9 does not answer: ")
    assert line.endswith("see `make status`")


def test_a_dead_ledger_fails_the_work_and_keeps_its_password(invoke, monkeypatch):
    monkeypatch.setenv("WINDHOVER_LEDGER_URI", "postgresql://windhover:secret@127.0.0.1:9/windhover")
    line = complaint(invoke("train"), 1)
    assert "the ledger at postgresql+psycopg2://windhover:***@127.0.0.1:9/windhover does not answer" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("verb", "missing"),
    [
        ("train", "has no published dataset yet"),
        *((verb, "run `train` first") for verb in ("evaluate", "decide", "register")),
        *((verb, "run `register` first") for verb in ("package", "deploy")),
        ("rollback", "nothing in service"),
    ],
)
def test_a_verb_before_its_turn_says_what_comes_first(invoke, verb, missing):
    assert missing in complaint(invoke(verb), 2)


def test_the_window_of_monitor_is_the_projects_unless_given(machine, invoke):
    machine.write_project(monitoring={"window_minutes": 7})
    for words, minutes in (([], 7), (["--minutes", "3"], 3)):
        drift = json.loads(invoke("monitor", "--json", *words).stdout)["drift"]
        start, end = (datetime.fromisoformat(drift[edge]) for edge in ("start", "end"))
        assert (end - start).total_seconds() == 60 * minutes
        assert (datetime.now(UTC) - end).total_seconds() < 60
        assert drift["verdict"] == "insufficient"
    assert invoke("monitor", "--minutes", "0").exit_code == 2
