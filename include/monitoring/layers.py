"""The three layers in which drift is looked for: image statistics, what the network sees, and what it answers.

After Rabanser, Günnemann and Lipton, "Failing loudly: an empirical study of methods for detecting dataset shift"
(NeurIPS 2019): a test of each number by itself, a kernel test of each vector, and a correction for their number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import DriftLayer
from include.errors import ContractViolationError
from include.monitoring.betting import weigh_classes, weigh_numbers, weigh_vectors

NUMBERS: dict[str, DriftLayer] = {
    **dict.fromkeys(
        ("brightness", "contrast", "sharpness", "noise", "saturation", "red", "green", "blue", "entropy"), "image"
    ),
    "confidence": "prediction",
}
CLASSES: dict[str, DriftLayer] = {"predicted": "prediction"}
VECTORS: dict[str, DriftLayer] = {"embedding": "embedding", "probabilities": "prediction"}
# Every release has these; the others are looked at where both sides have them.
REQUIRED = ("brightness", "contrast", "sharpness", "entropy", "confidence", "predicted")
METHODS = {**dict.fromkeys(NUMBERS, "rank_bets"), "predicted": "share_bets", **dict.fromkeys(VECTORS, "kernel_bets")}


@dataclass(frozen=True)
class Weighed:
    """One feature of a window against the reference.

    :ivar log_e: Logarithm of the e-value.
    :ivar reference: What to draw of the reference [M]: numbers, names, or ranks of vectors.
    :ivar window: The same of the window [N].
    """

    feature: str
    layer: DriftLayer
    log_e: float
    reference: NDArray[Any]
    window: NDArray[Any]


def require_columns(table: pa.Table, address: str) -> None:
    """Refuse a table that lacks what every release has.

    :raises ContractViolationError: a column is absent or empty.
    """
    missing = [name for name in REQUIRED if not len(_read(table, name))]
    if missing:
        raise ContractViolationError(f"{address} has no values of {', '.join(missing)}; package the release again")


def weigh_features(reference: pa.Table, window: pa.Table) -> list[Weighed]:
    """Weigh every feature that both tables have; rows without a value are left out.

    :param reference: The release's reference; `require_columns` has passed it.
    :param window: Rows of the prediction log.
    :raises ContractViolationError: vectors of the two have different lengths.
    """
    found = []
    for layers, read, weigh in (
        (NUMBERS, _read, _weigh_numbers),
        (VECTORS, _read_vectors, _weigh_vectors),
        (CLASSES, _read, _weigh_classes),
    ):
        for name, layer in layers.items():
            known, seen = read(reference, name), read(window, name)
            if len(known) and len(seen):
                found.append(Weighed(name, layer, *weigh(known, seen)))
    return found


_Result = tuple[float, NDArray[Any], NDArray[Any]]
_Weigher = Callable[[NDArray[Any], NDArray[Any]], _Result]


def _weigh_numbers(reference: NDArray[Any], window: NDArray[Any]) -> _Result:
    return weigh_numbers(reference, window), reference, window


def _weigh_classes(reference: NDArray[Any], window: NDArray[Any]) -> _Result:
    return weigh_classes(reference.tolist(), window.tolist()), reference, window


def _weigh_vectors(reference: NDArray[Any], window: NDArray[Any]) -> _Result:
    if reference.shape[1] != window.shape[1]:
        raise ContractViolationError(
            f"the reference has vectors of {reference.shape[1]} numbers, the window of {window.shape[1]}; "
            "package the release again"
        )
    log_e, ranks = weigh_vectors(reference, window)
    # Ranks among the reference: its own are spread evenly.
    return log_e, (np.arange(len(reference)) + 0.5) / len(reference), ranks


def _read(table: pa.Table, name: str) -> NDArray[Any]:
    """Read a column without nulls and NaN; empty where it is absent."""
    if name not in table.column_names:
        return np.empty(0)
    column = table[name].drop_null()
    if pa.types.is_floating(column.type):
        column = column.filter(pc.is_finite(column))
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _read_vectors(table: pa.Table, name: str) -> NDArray[Any]:
    if name not in table.column_names:
        return np.empty((0, 0), np.float32)
    column = table[name].drop_null()
    lengths = pc.list_value_length(column).to_numpy()
    longest = int(lengths.max(initial=0))
    vectors = pc.list_flatten(column.filter(pa.array(lengths == longest))).to_numpy().astype(np.float32)
    vectors = vectors.reshape(-1, longest) if longest else vectors[:0].reshape(0, 0)
    return np.asarray(vectors[np.isfinite(vectors).all(axis=1)])
