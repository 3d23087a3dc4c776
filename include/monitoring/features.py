"""Summarise the columns of a window."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import FeatureProfileReport
from include.predictions import STATISTICS

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
NUMBERS = (*STATISTICS, "bytes", "confidence", "ood", "latency_ms")
# Of the probabilities, in bits: 0 where the model is sure.
UNCERTAINTY = "uncertainty"


def describe_features(window: pa.Table) -> tuple[FeatureProfileReport, ...]:
    """Summarise every number that a window has values of."""
    columns = {name: _read(window[name]) for name in NUMBERS} | {UNCERTAINTY: _measure_uncertainty(window)}
    return tuple(_summarise(name, values) for name, values in columns.items() if len(values))


def describe_latencies(window: pa.Table) -> dict[str, float]:
    """Return percentiles, by name; none where no time was measured."""
    latencies = pc.quantile(window["latency_ms"], q=list(PERCENTILES.values())).to_pylist()
    return {name: value for name, value in zip(PERCENTILES, latencies, strict=True) if value is not None}


def share_values(column: pa.ChunkedArray) -> dict[str, float]:
    """Return the share of each value among those that are there, the largest first."""
    counted = pc.value_counts(column.drop_null())
    counts = {entry["values"].as_py(): entry["counts"].as_py() for entry in counted}
    total = sum(counts.values())
    return {name: counts[name] / total for name in sorted(counts, key=lambda name: (-counts[name], name))}


def _read(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values = column.drop_null().to_numpy().astype(np.float64)
    return np.asarray(values[np.isfinite(values)])


def _measure_uncertainty(window: pa.Table) -> NDArray[np.float64]:
    lists = window["probabilities"].combine_chunks()
    owners, shares = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists).to_numpy()
    bits = -shares * np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    return np.asarray(np.bincount(owners, weights=bits)[np.unique(owners)])


def _summarise(name: str, values: NDArray[np.float64]) -> FeatureProfileReport:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return FeatureProfileReport(
        feature=name,
        mean=float(values.mean()),
        deviation=math.sqrt(float(values.var())),
        low=float(low),
        median=float(median),
        high=float(high),
    )
