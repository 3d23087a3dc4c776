"""Parts of the test images, judged by themselves."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import SliceReport
from include.project import SliceConfig

SLICE_COLUMNS = ["label", "source", "partition", "group", "brightness", "width", "height"]
BANDS = 3
# A report travels with every decision; of a slice with more values than this, it names the worst.
WORST = 50


def measure_slices(
    slices: Sequence[SliceConfig], rows: pa.Table, right: NDArray[np.bool_]
) -> tuple[tuple[SliceReport, ...], dict[str, float]]:
    """Measure how a model does on each declared slice of the test images.

    :param rows: Columns `SLICE_COLUMNS` of the N test images.
    :param right: Whether the model's answer to each is right [N].
    :return: The slices, worst first, and their measures. `worst_slice_accuracy` is there if any slice has enough
        images; `gap_<slice>`, the largest difference in accuracy between two values of a slice, if two of its values
        have enough. What cannot be said is left out, and a gate on it fails.
    """
    reports, measures = {}, {}
    for one in slices:
        values = _name_values(one.by, rows)
        reports[one.name] = some = _measure_slice(one, values, right)
        judged = np.isin(values, [part.value for part in some if part.enough])
        if len(np.unique(values[judged])) > 1:
            measures[f"gap_{one.name}"] = _measure_gap(values[judged], right[judged])
    if anything := [part.accuracy for some in reports.values() for part in some if part.enough]:
        measures["worst_slice_accuracy"] = min(anything)
    return tuple(one for some in reports.values() for one in some[:WORST]), measures


def _measure_slice(config: SliceConfig, values: NDArray[Any], right: NDArray[np.bool_]) -> list[SliceReport]:
    found = []
    for value in np.unique(values):
        chosen = right[values == value]
        found.append(
            SliceReport(
                name=config.name,
                value=str(value),
                images=len(chosen),
                accuracy=float(chosen.mean()),
                enough=len(chosen) >= config.min_images,
            )
        )
    return sorted(found, key=lambda one: (not one.enough, one.accuracy, one.value))


def _measure_gap(values: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """Return the largest difference in accuracy between two values of a slice."""
    # Two seconds to import, and not every project declares a slice.
    from fairlearn.metrics import MetricFrame

    def accuracy(_: NDArray[np.bool_], correct: NDArray[np.bool_]) -> float:
        return float(correct.mean())

    frame = MetricFrame(metrics=accuracy, y_true=right, y_pred=right, sensitive_features=values)
    return float(frame.difference(method="between_groups"))


def _name_values(by: str, rows: pa.Table) -> NDArray[Any]:
    """Say of each image which value of a slice it has [N]."""
    if by == "source":
        return np.array([_folder(row["source"], row["partition"]) for row in rows.to_pylist()])
    if by == "brightness":
        return _band(pc.cast(rows["brightness"], pa.float64()).to_numpy())
    if by == "size":
        return _band(np.sqrt(pc.multiply(pc.cast(rows["width"], pa.int64()), rows["height"]).to_numpy()))
    column = rows["label" if by == "class" else by]
    return np.array(column.to_pylist(), dtype=str)


def _folder(source: str, partition: str) -> str:
    """Name the folder a file was delivered in, without the partition's: a camera, a clinic, a photographer."""
    return str(PurePosixPath(source.removeprefix(f"{partition}/")).parent)


def _band(values: NDArray[np.float64]) -> NDArray[Any]:
    """Name thirds of the images by their smallest and largest value; equal values are never torn apart."""
    known = ~np.isnan(values)
    names = np.full(len(values), "unknown", dtype=object)
    if not known.any():
        return names.astype(str)
    edges = np.quantile(values[known], np.arange(1, BANDS) / BANDS)
    bands = np.searchsorted(edges, values, side="left")
    for band in np.unique(bands[known]):
        chosen = known & (bands == band)
        names[chosen] = f"{values[chosen].min():.3g} to {values[chosen].max():.3g}"
    return names.astype(str)
