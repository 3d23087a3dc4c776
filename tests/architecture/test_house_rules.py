"""Rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

from include import contracts, errors

ROOT = Path(__file__).parents[2]
FOLDERS = ("dags", "plugins", "include", "deploy", "examples", "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LEFTOVERS = {"utils", "helpers", "common", "base", "misc", "main"}
# They declare and do nothing; the tests below and those of the migrations hold them to it.
DECLARATIONS = (
    "include/contracts/",
    "include/errors.py",
    "include/cli/options.py",
    "include/ledger/tables/",
    "include/vision/schema.py",
)
MAX_MODULE = 250
MAX_FUNCTION = 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE, "is there a second noun inside?"
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno + 1 > MAX_FUNCTION}
    assert long == {}


def test_no_module_is_named_for_leftovers():
    assert [path for path in FILES if path.stem in LEFTOVERS] == []


def test_every_module_of_the_library_has_a_mirrored_test():
    missing = []
    for path in FILES:
        source = path.relative_to(ROOT)
        if source.parts[0] not in {"include", "plugins"} or path.stem.startswith("__") or "migrations" in source.parts:
            continue
        if source.as_posix().startswith(DECLARATIONS):
            continue
        parts = source.parts[2:] if source.parts[:2] == ("plugins", "windhover") else source.parts[1:]
        top = "plugins" if source.parts[0] == "plugins" else "include"
        test = ROOT / "tests" / top / Path(*parts).with_name(f"test_{path.name}")
        folder_test = test.parent.with_name(f"test_{test.parent.name}.py")
        if not test.exists() and not folder_test.exists():
            missing.append(source.as_posix())
    assert missing == []


def test_every_contract_is_frozen_strict_and_named_for_what_it_does():
    kinds = [kind for kind in vars(contracts).values() if isinstance(kind, type) and kind is not contracts.Contract]
    ours = [kind for kind in kinds if issubclass(kind, contracts.Contract)]
    assert len(ours) > 10
    for kind in ours:
        assert (kind.model_config["frozen"], kind.model_config["extra"]) == (True, "forbid"), kind
        assert kind.__name__.endswith(("Ref", "Report", "Decision", "Request", "Plan", "Policy")), kind


def test_the_tree_of_errors_is_the_one_its_docstring_draws():
    drawn = {}
    path = []
    for line in errors.__doc__.splitlines():
        if name := re.search(r"(\w+Error)\b", line):
            path = [*path[: name.start() // 4], name[1]]
            drawn[name[1]] = path[-2] if len(path) > 1 else "Exception"
    real = {kind.__name__: kind.__base__.__name__ for kind in vars(errors).values() if isinstance(kind, type)}
    assert drawn == real
