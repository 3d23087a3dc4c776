"""What validation looks at beyond single values: a partition's numbers, and what its rows share with each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BINS = 20
# Contrast is the standard deviation of values in 0-1, hence at most one half. A little wider than that: single
# precision rounds a white image to 1.0000001.
RANGES = {"brightness": (0.0, 1.001), "contrast": (0.0, 0.501), "saturation": (0.0, 1.001)}
SIZES = ("width", "height")
MEASURED = (*RANGES, "sharpness", *SIZES)
# Images that are all alike would make the smallest difference an outlier.
LEAST_SPREAD = 0.01
LEAST_RELATIVE_SPREAD = 0.05
TO_SIGMA = 1.4826
# Great Expectations hashes every byte of a frame four times, and none of its expectations reads these.
UNREAD = ("embedding", "labels")


@dataclass(frozen=True)
class Measures:
    """Numbers of a manifest, as a `ValidationReport` keeps them for later partitions."""

    labels: dict[str, int]
    statistics: dict[str, float]
    histograms: dict[str, tuple[int, ...]]


def measure_rows(manifest: pa.Table) -> Measures:
    """Measure the rows of a partition."""
    return Measures(_count_labels(manifest), _measure_columns(manifest), _count_bins(manifest))


def find_conflicts(manifest: pa.Table, copies: pa.Table) -> dict[str, str]:
    """Find images delivered under several labels; return one that the accepted row has not, and its file, by digest.

    :param copies: `digest`, `label` and `source` of files with the bytes of a row of the manifest.
    """
    columns = ["digest", "label", "source"]
    twice = manifest.select(columns).filter(pc.is_in(manifest["digest"], copies["digest"].unique()))
    rows = pa.concat_tables([twice, copies.select(columns)])
    labels = rows.group_by("digest").aggregate([("label", "count_distinct")])
    disputed = labels.filter(pc.greater(labels["label_count_distinct"], 1))["digest"]
    accepted = dict(zip(twice["digest"].to_pylist(), twice["label"].to_pylist(), strict=True))
    conflicts: dict[str, str] = {}
    for row in rows.filter(pc.is_in(rows["digest"], disputed)).to_pylist():
        if row["label"] not in {None, accepted[row["digest"]]}:
            conflicts.setdefault(row["digest"], f"{row['label']} in {row['source']}")
    return conflicts


def tabulate_rows(manifest: pa.Table, conflicts: Mapping[str, str]) -> pd.DataFrame:
    """Make the frame that expectations read: the manifest but `UNREAD`, and what each row shares with others.

    `splits_of_group` counts the splits the row's group lies in; `conflicting_label` is missing but for images that were
    delivered under another label as well.

    :param conflicts: See `find_conflicts`.
    """
    types = {pa.string(): pd.StringDtype("pyarrow")}
    frame: pd.DataFrame = manifest.drop_columns(UNREAD).to_pandas(types_mapper=types.get)
    frame["splits_of_group"] = _count_distinct(manifest["group"], manifest["split"])
    frame["conflicting_label"] = frame["digest"].map(dict(conflicts)).astype(frame["digest"].dtype)
    return frame


def _measure_columns(manifest: pa.Table) -> dict[str, float]:
    """Return `<column>_<mean|std|median|spread>` of every measured column; nothing of a column without values.

    The spread is the median absolute deviation scaled to the standard deviation of a normal distribution (Rousseeuw
    and Croux, "Alternatives to the Median Absolute Deviation", JASA 1993), with a floor.
    """
    numbers: dict[str, float] = {}
    for column in MEASURED:
        values = _values(manifest, column)
        if values.size:
            median = float(np.median(values))
            floor = LEAST_RELATIVE_SPREAD * median if column in SIZES else LEAST_SPREAD
            spread = max(TO_SIGMA * float(np.median(np.abs(values - median))), floor)
            moments = {"mean": float(values.mean()), "std": float(values.std()), "median": median, "spread": spread}
            numbers |= {f"{column}_{name}": round(number, 6) for name, number in moments.items()}
    return numbers


def _count_labels(manifest: pa.Table) -> dict[str, int]:
    """Count the labelled images of every class that occurs."""
    counts = manifest["label"].drop_null().value_counts()
    return dict(sorted((row["values"], row["counts"]) for row in counts.to_pylist()))


def _count_bins(manifest: pa.Table) -> dict[str, tuple[int, ...]]:
    """Count images by brightness, contrast and saturation, in `BINS` bins over `RANGES`."""
    return {
        column: tuple(np.histogram(np.clip(_values(manifest, column), *limits), BINS, limits)[0].tolist())
        for column, limits in RANGES.items()
    }


def _values(manifest: pa.Table, column: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = manifest[column].drop_null().to_numpy().astype(np.float64)
    return values[np.isfinite(values)]


def _count_distinct(keys: pa.ChunkedArray, values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Count, for every row, the different values that occur with its key."""
    key, value = _codes(keys), _codes(values)
    pairs = np.unique(np.stack([key, value]), axis=1)
    counts: NDArray[np.int64] = np.bincount(pairs[0], minlength=int(key.max(initial=0)) + 1)
    return counts[key]


def _codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    encoded: Any = pc.dictionary_encode(values, null_encoding="encode").combine_chunks()
    codes: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
