"""Read project files, and say what is wrong with one."""

from difflib import get_close_matches
from pathlib import Path
from textwrap import shorten
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from include.contracts import Contract
from include.errors import ProjectFileError
from include.project.sections import Project

# Every task parses its DAG file; in C that is ten times as fast.
_FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictLoader(_FAST_LOADER):  # type: ignore[misc, valid-type]
    """Refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping, all keys of which differ."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (key, _), value in zip(node.value, keys, strict=True):
            if keys.count(value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {value!r} is given twice", key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_project(path: Path) -> Project:
    """Read a project file; an unknown or impossible setting is a `ProjectFileError` that says where and what."""
    try:
        document = yaml.load(path.read_text(), Loader=StrictLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError as error:
        raise ProjectFileError(f"no project file {path}; `make new-project NAME={path.stem}` writes one") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ProjectFileError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ProjectFileError(f"{path}: holds {_describe(document)}; expected keys such as `name:` and `classes:`")
    try:
        project = Project.model_validate(document)
    except ValidationError as error:
        raise ProjectFileError(f"{path}: {explain(error, Project)}") from error
    if project.name != path.stem:
        raise ProjectFileError(f"{path}: name is {project.name!r}; a project is named like its file, {path.stem!r}")
    return project


def load_projects(folder: Path) -> tuple[list[Project], list[ProjectFileError]]:
    """Read every project file of a folder, in name order: the valid projects, and what is wrong with the others."""
    projects, problems = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            projects.append(load_project(path))
        except ProjectFileError as error:
            problems.append(error)
    return projects, problems


def _describe(document: object) -> str:
    return "nothing" if document is None else f"a {type(document).__name__}"


def explain(error: ValidationError, model: type[Contract]) -> str:
    """Say in one line which keys are wrong, and what was probably meant."""
    return "; ".join(_explain_one(detail, model) for detail in error.errors())


def _explain_one(detail: Any, model: type[Contract]) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "file"
    if detail["type"] == "missing":
        return f"{where}: required, but not there"
    if detail["type"] != "extra_forbidden":
        return f"{where}: {detail['msg']} (got {shorten(repr(detail['input']), 80)})"
    known = list(_fields_at(detail["loc"][:-1], model))
    close = get_close_matches(str(detail["loc"][-1]), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"{where}: unknown key; {hint}"


def _fields_at(location: tuple[str | int, ...], model: type[Contract]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(model.model_fields)
    for part in location:
        # A position in a list, and a key of a mapping, say nothing about fields.
        if part in fields:
            annotation = fields[str(part)].annotation
            kinds = (annotation, *get_args(annotation))
            fields = next((dict(k.model_fields) for k in kinds if isinstance(k, type) and issubclass(k, Contract)), {})
    return fields
