import subprocess

import pytest
from typer.testing import CliRunner

from deploy.parts import name_parts
from deploy.stack import application

runner = CliRunner()


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDHOVER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WINDHOVER_STORE", raising=False)
    return tmp_path / "home"


def test_status_without_a_stack_is_one_line_and_fails(empty_home):
    result = runner.invoke(application, ["status"])
    assert result.exit_code == 1
    assert result.output.splitlines() == [f"error: no stack runs in {empty_home}; `make up` starts one"]


def test_down_without_a_stack_is_fine_and_makes_nothing(empty_home):
    result = runner.invoke(application, ["down"])
    assert result.exit_code == 0
    assert "no stack runs" in result.output
    assert not empty_home.exists()


def test_up_on_a_full_disk_says_so(monkeypatch):
    monkeypatch.setattr("deploy.startup.FREE_BYTES", 10**18)
    monkeypatch.setattr("deploy.startup.check_ports", lambda home: None)
    result = runner.invoke(application, ["up"])
    assert result.exit_code == 1
    assert "MB free" in result.output


def test_up_where_nothing_can_be_written_is_one_line(monkeypatch):
    monkeypatch.setenv("WINDHOVER_HOME", "/proc/nowhere")
    result = runner.invoke(application, ["up"])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "/proc/nowhere" in result.output


def test_logs_of_an_unknown_part_names_the_parts():
    result = runner.invoke(application, ["logs", "webserver"])
    assert result.exit_code == 1
    assert all(name in result.output for name in name_parts(2))


def test_env_prints_what_a_shell_can_read_and_no_secret(empty_home):
    (empty_home / "secrets").mkdir(parents=True)
    (empty_home / "secrets" / "serving_token").write_text("hidden")
    result = runner.invoke(application, ["env"])
    assert result.exit_code == 0
    assert f"export WINDHOVER_STORE={empty_home}/store" in result.output
    assert all(line.startswith("export WINDHOVER_") for line in result.output.splitlines())
    assert "hidden" not in result.output
    script = f'{result.output}\necho "$WINDHOVER_SERVING_TOKEN"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == "hidden\n"
