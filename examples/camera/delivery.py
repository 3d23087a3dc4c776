"""Days of arrivals: a folder of photographs with its manifest, and the labels that come later."""

import csv
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from examples.camera.lens import Lens, photograph
from examples.camera.specimens import true_label

FIRST_SHOT = time(8, tzinfo=UTC)
BETWEEN_SHOTS = timedelta(seconds=10)
LABELLED_AT = time(12, tzinfo=UTC)
UNKNOWN_CLASS = "eleven"
SHOTS_A_DAY = 5_000


def deliver_day(
    landing: Path,
    day: date,
    specimens: Sequence[int],
    *,
    lens: Lens,
    labelled: bool,
    corrupt: int = 0,
    mislabelled: int = 0,
    project: str = "digits",
) -> Path:
    """Photograph specimens and drop the day's folder, all at once; a day already delivered stays as it is.

    :param labelled: Deliver the labels, too, as known one day later.
    :param corrupt: Extra files that are no whole image.
    :param mislabelled: Labels that are no digit.
    """
    folder = landing / project / day.isoformat()
    if folder.exists():
        return folder
    if not max(corrupt, mislabelled) <= len(specimens) <= SHOTS_A_DAY:
        raise ValueError(
            f"{len(specimens)} shots, {corrupt} corrupt and {mislabelled} mislabelled ones do not fit into {day}: "
            f"at most {SHOTS_A_DAY} shots a day, and no more of the others than shots"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _fill(staged, day, specimens, lens, corrupt)
        if labelled:
            _write_labels(staged, day, mislabelled)
        (staged / "_SUCCESS").touch()
        staged.chmod(0o755)
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def label_day(landing: Path, day: date, *, mislabelled: int = 0, project: str = "digits") -> Path:
    """Add the labels to a delivered day, as known one day later."""
    return _write_labels(landing / project / day.isoformat(), day, mislabelled)


def _fill(folder: Path, day: date, specimens: Sequence[int], lens: Lens, corrupt: int) -> None:
    (folder / "images").mkdir()
    start = datetime.combine(day, FIRST_SHOT)
    lines = []
    for position, specimen in enumerate(specimens):
        picture = photograph(specimen, lens, day.toordinal() * SHOTS_A_DAY + position)
        name = f"shot-{position:04d}.png"
        (folder / "images" / name).write_bytes(picture)
        lines.append((name, (start + position * BETWEEN_SHOTS).isoformat(), f"specimen-{specimen:04d}"))
        if position < corrupt:
            broken = f"broken-{position:04d}.png"
            (folder / "images" / broken).write_bytes(picture[: len(picture) // 2])
            lines.append((broken, *lines[-1][1:]))
    _write_csv(folder / "manifest.csv", ("file", "observed_at", "group"), lines)


def _write_labels(folder: Path, day: date, mislabelled: int) -> Path:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        groups = {row["file"]: row["group"] for row in csv.DictReader(file)}
    labels = {name: true_label(int(group.removeprefix("specimen-"))) for name, group in groups.items()}
    labels |= dict.fromkeys([name for name in sorted(labels) if name.startswith("shot-")][:mislabelled], UNKNOWN_CLASS)
    known_at = datetime.combine(day + timedelta(days=1), LABELLED_AT).isoformat()
    lines = [(name, label, known_at) for name, label in labels.items()]
    return _write_csv(folder / "labels.csv", ("file", "label", "known_at"), lines)


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
    Path(temporary).chmod(0o644)
    return Path(temporary).replace(path)
