"""The page about the project file names every key with its type, default and bounds, and no other."""

import re
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from include.project import Project

PAGE = Path(__file__).parents[2] / "docs" / "project_file.md"
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?P<type>.+?) \| (?P<default>.+?) \| (?P<bounds>.*?) ?\| (?P<meaning>.+) \|$")
TYPES = {str: "text", int: "whole number", float: "number", bool: "true/false", dict: "table"}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def read_page() -> dict[str, dict[str, str]]:
    rows, section = {}, ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").replace("project", "")
        elif row := ROW.match(line):
            rows[f"{section}.{row['key']}".lstrip(".")] = row.groupdict()
    return rows


def list_fields(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    fields = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields |= list_fields(kind, f"{name}.")
        else:
            fields[prefix + name] = field
    return fields


FIELDS = list_fields(Project)


def plain(kind):
    """Return a type without what is said of it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def list_values(kind) -> list[str]:
    """List what may be chosen, where nothing else may."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    parts = [list_values(part) for part in get_args(kind)] if get_origin(kind) is Union else []
    return [value for part in parts for value in part] if all(parts) else []


def describe_type(field: FieldInfo) -> str:
    if values := list_values(field.annotation):
        *most, last = [f"`{value}`" for value in values]
        return f"{', '.join(most)} or {last}"
    if get_origin(field.annotation) in {Union, UnionType}:
        return TYPES[plain(next(kind for kind in get_args(field.annotation) if kind is not type(None)))]
    if get_origin(field.annotation) is not tuple:
        return TYPES[get_origin(field.annotation) or field.annotation]
    entry = plain(get_args(field.annotation)[0])
    values = get_args(entry) or getattr(entry, "model_fields", ())
    return "list of " + (TYPES.get(entry) or ", ".join(f"`{value}`" for value in values))


def describe_bounds(field: FieldInfo) -> str:
    bounds = []
    for limit in field.metadata:
        bounds += [f"{sign} {getattr(limit, name)}" for name, sign in SIGNS.items() if hasattr(limit, name)]
        bounds += [f"`{limit.pattern}`"] if getattr(limit, "pattern", None) else []
        bounds += [f"≥ {limit.min_length} entries"] if hasattr(limit, "min_length") else []
    # A share that may be neither 0 nor 1 says so twice.
    narrower = {bound.replace(">", "≥").replace("<", "≤") for bound in bounds if bound[0] in "<>"}
    return ", ".join(bound for bound in bounds if bound not in narrower)


def test_every_key_is_named_once_and_no_other():
    assert sorted(read_page()) == sorted(FIELDS)
    assert len(FIELDS) == PAGE.read_text().count("\n| `")


def test_types_are_those_of_the_code():
    assert {key: row["type"] for key, row in read_page().items()} == {
        key: describe_type(field) for key, field in FIELDS.items()
    }


def test_defaults_are_those_of_the_code():
    written = {key: row["default"] for key, row in read_page().items()}
    for key, field in FIELDS.items():
        if field.is_required():
            assert written[key] == "required", key
        else:
            default = TypeAdapter(field.annotation).dump_python(field.default, mode="json")
            assert yaml.safe_load(written[key].strip("`")) == default, key


def test_bounds_are_those_of_the_code():
    assert {key: row["bounds"] for key, row in read_page().items()} == {
        key: describe_bounds(field) for key, field in FIELDS.items()
    }
