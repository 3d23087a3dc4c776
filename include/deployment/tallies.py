"""Count what the prediction log says of a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contracts import Digest
from include.deployment.sequential import Split


@dataclass(frozen=True, eq=False)
class RolloutCounts:
    """Everything the judge looks at; the release is the one rolled out, whichever variant it is."""

    requests: Mapping[float, int] = field(default_factory=dict)  # the release's own, by its share of the traffic
    assigned: tuple[Split, ...] = ()  # whose turn it was: requests, or keys where those are drawn
    failed: tuple[Split, ...] = ()  # of these, with a failure of the model whose turn it was
    labelled: tuple[Split, ...] = ()  # of these, with a label
    wrong: tuple[Split, ...] = ()  # of these, with a wrong answer
    run: int = 0  # requests that the release ran on, in its turn or beside
    run_failed: int = 0
    compared: int = 0  # requests that both ran on
    failed_alone: int = 0
    other_failed_alone: int = 0
    answered: int = 0  # compared, and both answered
    differing: int = 0
    slowdowns: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # [N], of these: time over the other's
    compared_labelled: int = 0  # of these
    worsened: int = 0  # the other was right, the release wrong
    improved: int = 0


def count_rows(
    rows: Mapping[str, pa.Table], weights: Mapping[int, float], release: Digest, *, by_key: bool
) -> RolloutCounts:
    """Count the rows of the prediction log that belong to a rollout, each request once.

    :param rows: By kind: `predictions`, `comparisons`, `feedback`.
    :param weights: The release's share of the traffic by plan revision; rows of other revisions do not count.
    :param by_key: Whether keys are drawn instead of requests; a key then counts once.
    """
    labels = _pick(rows["feedback"], "request_id", "max")
    turns = _list_turns(_join(_choose(rows["predictions"], weights), labels), weights, by_key)
    pairs = _list_pairs(_join(_choose(rows["comparisons"], weights), labels), release)
    own = turns.filter(turns["release"])
    shares, requests = np.unique(own["share"].to_numpy(), return_counts=True)
    run = pa.concat_tables([table.select(["request_id", "failed"]) for table in (own, pairs)])
    run = run.group_by("request_id").aggregate([("failed", "any")])
    return RolloutCounts(
        requests=dict(zip(shares.tolist(), requests.tolist(), strict=True)),
        assigned=_split(turns),
        failed=_split(turns.filter(turns["failed"])),
        labelled=_split(turns.filter(turns["labelled"])),
        wrong=_split(turns.filter(turns["wrong"])),
        run=run.num_rows,
        run_failed=_count(run["failed_any"]),
        **_count_pairs(pairs),
    )


def _choose(table: pa.Table, weights: Mapping[int, float]) -> pa.Table:
    """Keep the rows of a rollout's revisions, each request once."""
    return _pick(table.filter(pc.is_in(table["revision"], pa.array(list(weights), pa.int64()))), "request_id", "min")


def _pick(table: pa.Table, column: str, which: Literal["min", "max"]) -> pa.Table:
    """Keep the first or the last row of each value of a column, in time order."""
    table = table.sort_by("time")
    numbered = table.select([column]).append_column("row", pa.array(np.arange(table.num_rows)))
    rows = numbered.group_by(column).aggregate([("row", which)])[f"row_{which}"]
    return table.take(np.sort(rows.to_numpy()))


def _join(table: pa.Table, labels: pa.Table) -> pa.Table:
    """Append the label of each request; null where none came."""
    found = labels["label"].take(pc.index_in(table["request_id"], labels["request_id"]))
    return table.append_column("label", found)


def _list_turns(predictions: pa.Table, weights: Mapping[int, float], by_key: bool) -> pa.Table:
    """Tell of each request whose turn it was, and what became of it."""
    share = pa.array([weights[revision] for revision in predictions["revision"].to_pylist()], pa.float64())
    unit = predictions["request_id"]
    label = predictions["label"]
    return pa.table({
        "request_id": unit, "time": predictions["time"], "share": share,
        "unit": pc.coalesce(predictions["key"], unit) if by_key else unit,
        "release": pc.or_(pc.equal(share, 1.0), _equal(predictions["variant"], "candidate")),
        "failed": _failed(predictions, ""),
        "labelled": pc.is_valid(label),
        "wrong": pc.and_(pc.is_valid(label), pc.invert(_equal(predictions["predicted"], label))),
    })  # fmt: skip


def _split(turns: pa.Table) -> tuple[Split, ...]:
    """Count units by share of the traffic and by whose they were, each unit once."""
    units = _pick(turns, "unit", "min")
    shares, own = units["share"].to_numpy(), units["release"].to_numpy()
    return tuple(
        Split(float(share), int(own[shares == share].sum()), int((~own)[shares == share].sum()))
        for share in np.unique(shares)
    )


def _list_pairs(comparisons: pa.Table, release: Digest) -> pa.Table:
    """Tell of each comparison what the release did, and what the other did; as champion, the release is the first."""
    first, second = (_equal(comparisons[f"{side}_release"], release) for side in ("champion", "other"))
    sides = {
        side: {
            "failed": _failed(comparisons, f"{side}_"),
            "ms": comparisons[f"{side}_ms"],
            "right": _equal(comparisons[f"{side}_predicted"], comparisons["label"]),
        }
        for side in ("champion", "other")
    }
    both = pc.invert(pc.or_(sides["champion"]["failed"], sides["other"]["failed"]))
    columns = {"request_id": comparisons["request_id"], "answered": both, "labelled": pc.is_valid(comparisons["label"])}
    for name in ("failed", "ms", "right"):
        champion, other = sides["champion"][name], sides["other"][name]
        columns |= {name: pc.if_else(first, champion, other), f"other_{name}": pc.if_else(first, other, champion)}
    columns["differs"] = pc.invert(_equal(comparisons["champion_predicted"], comparisons["other_predicted"]))
    return pa.table(columns).filter(pc.xor(first, second))


def _count_pairs(pairs: pa.Table) -> dict[str, Any]:
    answered = pairs.filter(pairs["answered"])
    labelled = answered.filter(answered["labelled"])
    times = [answered[name].to_numpy() for name in ("ms", "other_ms")]
    timed = np.all([np.isfinite(time) & (time > 0) for time in times], axis=0)
    return {
        "compared": pairs.num_rows,
        "failed_alone": _count_apart(pairs, "failed"),
        "other_failed_alone": _count_apart(pairs, "failed", other=True),
        "answered": answered.num_rows,
        "differing": _count(answered["differs"]),
        "slowdowns": times[0][timed] / times[1][timed],
        "compared_labelled": labelled.num_rows,
        "improved": _count_apart(labelled, "right"),
        "worsened": _count_apart(labelled, "right", other=True),
    }


def _count_apart(pairs: pa.Table, column: str, *, other: bool = False) -> int:
    """Count the pairs of which one side alone is so: the release's, or the other's."""
    yes, no = (f"other_{column}", column) if other else (column, f"other_{column}")
    return _count(pc.and_not(pairs[yes], pairs[no]))


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _equal(left: pa.ChunkedArray, right: Any) -> pa.ChunkedArray:
    """Compare; nothing equals null."""
    return pc.fill_null(pc.equal(left, right), False)


def _failed(table: pa.Table, side: str) -> pa.ChunkedArray:
    """Tell which rows say why a model did not answer, or hold no answer."""
    return pc.or_(pc.is_valid(table[f"{side}failed"]), pc.is_null(table[f"{side}predicted"]))
