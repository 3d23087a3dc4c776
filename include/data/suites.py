"""The suite of a project: its own file where there is one, else built from the project file."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from include.data.checks import Check, find_fault
from include.data.history import describe_parameters
from include.data.standard_suite import build_sections
from include.errors import ProjectFileError
from include.project import Project, StrictLoader, explain
from include.settings import load_settings
from include.storage import write_atomically

HEADER = """\
# What {project} expects of every partition. Edit freely: this file replaces the expectations built from the project
# file, so later changes of its classes or limits must be made here too. Remove it to go back.
# Each entry: a Great Expectations type, its kwargs, what to do when it is not met, and what it guards in words.
#   stop        the partition is not published
#   quarantine  the rows that break it are set aside; more than data.max_quarantined of them stop the partition
#   warn        shown and recorded, nothing else
# {{$PARAMETER: ...}} may calculate with these; a check whose parameters have no value yet is shown as not checked:
{parameters}
"""


def load_suite(project: Project) -> tuple[Check, ...]:
    """Read `expectations/<project>.yaml` beside the project files, or build the standard suite.

    :raises ProjectFileError: the file holds an unknown or impossible entry; says which, and what was probably meant.
    """
    path = load_settings().projects / "expectations" / f"{project.name}.yaml"
    if not path.exists():
        return tuple(check for section in build_sections(project).values() for check in section)
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ProjectFileError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(entries, list) or not entries:
        raise ProjectFileError(f"{path}: expected a list of entries such as `- expectation: expect_...`")
    return tuple(_read_entry(path, number, entry) for number, entry in enumerate(entries, start=1))


def write_suite(project: Project, folder: Path) -> Path:
    """Write the standard suite as `<folder>/<project>.yaml`, to be edited; return the file.

    :raises ProjectFileError: the file is there already; somebody's edits would be lost.
    """
    path = folder / f"{project.name}.yaml"
    if path.exists():
        raise ProjectFileError(f"{path} is there already; remove it first to start again from the standard suite")
    meanings = "\n".join(f"#   {names}: {meaning}" for names, meaning in describe_parameters().items())
    parts = [HEADER.format(project=project.name, parameters=meanings)]
    for heading, checks in build_sections(project).items():
        parts += [f"\n# {heading}.\n", *map(_write_entry, checks)]
    write_atomically(path, "\n".join(parts).encode())
    return path


def _read_entry(path: Path, number: int, entry: Any) -> Check:
    name = entry.get("expectation", "without expectation") if isinstance(entry, dict) else repr(entry)
    try:
        check = Check.model_validate(entry)
    except ValidationError as error:
        raise ProjectFileError(f"{path}: entry {number} ({name}): {explain(error, Check)}") from error
    fault = find_fault(check)
    if fault:
        raise ProjectFileError(f"{path}: entry {number} ({name}): {fault}")
    return check


def _write_entry(check: Check) -> str:
    entry = check.model_dump(include={"expectation", "kwargs", "on_failure", "description"})
    ordered = {name: entry[name] for name in ("expectation", "kwargs", "on_failure", "description")}
    # Only the innermost lists and mappings on one line each.
    return yaml.safe_dump([ordered], default_flow_style=None, sort_keys=False, width=1000, allow_unicode=True)
