"""Every command, verb and variable that the documentation names exists."""

import re
from pathlib import Path

import pytest
import typer.main

from deploy.home import Ports
from deploy.stack import application
from include.cli.verbs import app
from include.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
VARIABLE = re.compile(r"\bWINDHOVER_[A-Z_]*[A-Z]\b")
COMPOSE = ROOT / "docker-compose.yml"


def read_code(page: Path) -> str:
    """Return what stands in code blocks and code spans; prose may say `make` anything."""
    return "\n".join("".join(found) for found in CODE.findall(page.read_text()))


def list_settings() -> set[str]:
    fields = [*Settings.model_fields, "serving_replicas", *(f"{part}_port" for part in Ports.model_fields)]
    return {f"WINDHOVER_{field.upper()}" for field in fields}


def list_variables() -> set[str]:
    return list_settings() | set(VARIABLE.findall(COMPOSE.read_text()))


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@pages
def test_every_make_target_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", read_code(page))) - targets == set()


@pages
def test_every_verb_of_the_command_line_exists(page):
    verbs = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"include\.cli ([a-z]+)", read_code(page))) - verbs == set()


@pages
def test_every_verb_of_the_stack_exists(page):
    verbs = set(typer.main.get_command(application).commands)
    assert set(re.findall(r"deploy\.stack ([a-z]+)", read_code(page))) - verbs == set()


@pages
def test_every_variable_exists(page):
    assert set(VARIABLE.findall(read_code(page))) - list_variables() == set()


def test_the_index_lists_every_variable_of_the_stack():
    rows = [line for line in (ROOT / "docs" / "README.md").read_text().splitlines() if line.startswith("| `WINDHOVER_")]
    assert {name for row in rows for name in VARIABLE.findall(row.split("|")[1])} == list_settings()


def test_the_index_has_the_default_of_every_port():
    page = (ROOT / "docs" / "README.md").read_text()
    for part, port in Ports().model_dump().items():
        assert f"| `WINDHOVER_{part.upper()}_PORT` | `{port}` |" in page
