"""The test split is read by the evaluation of a finished model and by nobody else."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("dags", "plugins", "include", "deploy", "examples")
SEAL = "read_sealed_split"


def names(path: Path) -> set[str]:
    """Names a module imports, reads as an attribute or spells out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom():
                found |= {alias.name for alias in node.names}
            case ast.Attribute():
                found.add(node.attr)
            case ast.Constant(value=str(text)):
                found.add(text)
    return found


def test_only_the_evaluation_breaks_the_seal():
    readers = {
        path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if SEAL in names(path)
    }
    assert readers
    assert {path.parts[:2] for path in readers} == {("include", "evaluation")}
