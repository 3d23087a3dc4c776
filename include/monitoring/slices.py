"""Parts of a window, each by itself."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import SliceProfileReport
from include.errors import ArtifactNotFoundError
from include.monitoring.features import describe_features, describe_latencies, share_values
from include.project import Project
from include.storage import Store
from include.storage.parquet import read_table
from include.vision.releases import REFERENCE, release_address

BANDS = 3
# Digits of what is kept of each slice: the series has many of them, and more would tell nothing.
DIGITS = 4
# What a project may declare and an answer without a label has.
MEASURED = ("brightness", "size")

Names = NDArray[Any]


def describe_slices(project: Project, window: pa.Table, rows: pa.Table, store: Store) -> tuple[SliceProfileReport, ...]:
    """Describe who answered, and the answers of a release by class, by format, and by the bands the project declares.

    Bands are thirds of the certified images, so that a band is the same in every window of a release.

    :param window: Answers of one release.
    :param rows: All that was asked in the same time.
    """
    parts = [("answered_by", rows, _to_names(rows["answered_by"]))]
    parts += [(name, window, _to_names(window[name])) for name in ("predicted", "format")]
    parts += [(name, window, names) for name, names in _cut_bands(project, window, store)]
    return tuple(report for name, table, names in parts for report in _describe(name, table, names))


def _describe(name: str, rows: pa.Table, names: Names) -> Iterator[SliceProfileReport]:
    confidence = rows["confidence"].to_numpy().astype(np.float64)
    abstained = np.asarray(pc.is_in(rows["answered_by"], pa.array(["abstain"])))
    for value in np.unique(names[names != ""]):
        chosen = names == value
        known = confidence[chosen & np.isfinite(confidence)]
        part = rows.filter(pa.array(chosen))
        yield SliceProfileReport(
            slice=name,
            value=str(value),
            predictions=int(chosen.sum()),
            confidence=float(known.mean()) if len(known) else None,
            abstained=float(abstained[chosen].mean()),
            failed=part.num_rows - part["failed"].null_count,
            latency_ms=_round(describe_latencies(part)),
            mix=_round(share_values(part["predicted"])),
            means=_round({one.feature: one.mean for one in describe_features(part)}),
        )


def _cut_bands(project: Project, window: pa.Table, store: Store) -> Iterator[tuple[str, Names]]:
    declared = [one for one in project.evaluation.slices if one.by in MEASURED]
    if not declared:
        return
    address = release_address(project.name, window["release"][-1].as_py())
    try:
        reference = read_table(store, f"{address}/{REFERENCE}")
    except ArtifactNotFoundError:
        return  # The release was retired since.
    for one in declared:
        yield one.name, _name_bands(_measure(one.by, reference), _measure(one.by, window))


def _measure(by: str, table: pa.Table) -> NDArray[np.float64]:
    if by == "size":
        return np.asarray(np.sqrt(table["width"].to_numpy() * table["height"].to_numpy()))
    return np.asarray(table[by].to_numpy())


def _name_bands(known: NDArray[np.float64], found: NDArray[np.float64]) -> Names:
    edges = np.unique(np.quantile(known, np.arange(1, BANDS) / BANDS))
    shown = [f"{edge:.3g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    return np.array([f"up to {shown[0]}", *between, f"above {shown[-1]}"])[np.searchsorted(edges, found)]


def _round(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.{DIGITS}g}") for name, value in values.items()}


def _to_names(column: pa.ChunkedArray) -> Names:
    return np.array(["" if value is None else value for value in column.to_pylist()], dtype=str)
