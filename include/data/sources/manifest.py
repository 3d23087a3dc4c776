"""Deliveries with a manifest: `images/`, a table of them, and a table of labels that may come later and change."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from include.data.sources.facts import Facts, Label, Shot, name_group
from include.data.sources.folders import Folder
from include.data.sources.tables import Table, read_table
from include.data.sources.videos import is_video
from include.errors import DataQualityError
from include.project import SourceConfig


def read_facts(source: SourceConfig, folder: Folder, times: dict[str, datetime]) -> Facts:
    """Join what is delivered, listed and labelled.

    `manifest.csv` or `manifest.parquet`: file, observed_at, group, and maybe subject. `labels.csv` or `labels.parquet`:
    file, label, known_at; several lines of a file are its history.

    :param times: The files that are there; when they were observed, the manifest says.
    :raises DataQualityError: the manifest or the labels cannot be read; says the file and line.
    """
    manifest = read_table(folder, "manifest", ("file", "observed_at", "group"), ("subject",))
    if manifest is None:
        raise DataQualityError(
            f"no manifest.csv or manifest.parquet in {folder.uri}; a delivery lists its images there before it is whole"
        )
    shots = _read_shots(source, manifest)
    labels = _read_labels(folder)
    delivered = sorted({*times, *shots})
    # Labels come later and may grow: a name only they know goes last, so that no other file changes its shard.
    labelled_only = sorted(labels.keys() - set(delivered))
    return Facts((*delivered, *labelled_only), shots, labels)


def _read_shots(source: SourceConfig, table: Table) -> dict[str, Shot]:
    shots: dict[str, Shot] = {}
    numbers: dict[str, int] = {}
    for number, (file, observed_at, group, subject) in table.rows:
        name = table.read_name(file, number)
        if name in numbers:
            raise DataQualityError(
                f"{table.locate(number)}: {name!r} is listed already in {table.unit} {numbers[name]}; list a file once"
            )
        numbers[name] = number
        if not group and (source.group_pattern or _is_clip(source, name)):
            group = name_group(source, name)
        shots[name] = Shot(
            table.read_time(observed_at, number, "observed_at"),
            table.read_text(group, number, "group"),
            table.read_text(subject, number, "subject") if subject else None,
        )
    return shots


def _is_clip(source: SourceConfig, name: str) -> bool:
    return bool(source.frame_seconds) and is_video(name)


def _read_labels(folder: Folder) -> dict[str, tuple[Label, ...]]:
    table = read_table(folder, "labels", ("file", "label", "known_at"))
    if table is None:
        return {}
    histories: dict[str, dict[datetime, tuple[str, int]]] = {}
    for number, (file, value, time) in table.rows:
        name = table.read_name(file, number)
        label, known_at = table.read_text(value, number, "label"), table.read_time(time, number, "known_at")
        if name not in histories:
            histories[name] = {known_at: (label, number)}
            continue
        other, line = histories[name].setdefault(known_at, (label, number))
        if other != label:
            raise DataQualityError(
                f"{table.locate(number)}: {name!r} is {label!r}, but {other!r} in {table.unit} {line}, both known at "
                f"{known_at.isoformat()}; give the later one a later known_at"
            )
    return {
        name: tuple(Label(history[known_at][0], known_at) for known_at in sorted(history))
        for name, history in histories.items()
    }


def write_tables(folder: Path, shots: dict[str, Shot], labels: dict[str, Label]) -> None:
    """Write a manifest and labels that `read_facts` reads as they are."""
    lines = [(name, shot.observed_at.isoformat(), shot.group, shot.subject or "") for name, shot in shots.items()]
    _write_csv(folder / "manifest.csv", ("file", "observed_at", "group", "subject"), lines)
    known = [(name, label.label, label.known_at.isoformat()) for name, label in labels.items()]
    _write_csv(folder / "labels.csv", ("file", "label", "known_at"), known)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
