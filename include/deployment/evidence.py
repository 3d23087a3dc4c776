"""Read what the prediction log says of a rollout, each of its files once."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts import RolloutRef
from include.deployment.strategies import find_share
from include.deployment.tallies import RolloutCounts, count_rows
from include.errors import ArtifactNotFoundError
from include.predictions import SCHEMAS
from include.storage import Store

if TYPE_CHECKING:
    from include.ledger.plans import PlanRevision

COLUMNS = {
    "predictions": ["request_id", "time", "revision", "variant", "predicted", "failed", "key"],
    "comparisons": ["request_id", "time", "revision"]
    + [f"{side}_{name}" for side in ("champion", "other") for name in ("release", "predicted", "failed", "ms")],
    "feedback": ["request_id", "time", "label"],
}
# Rows have the time of their serving process's clock.
CLOCK_SKEW = timedelta(minutes=5)

# The name of a file begins with the time of its first row; a store that is away keeps one open for longer than usual.
NAMED = re.compile(r"(\d{8}T\d{6})-")
LONGEST = timedelta(hours=1)

logger = logging.getLogger(__name__)


class EvidenceReader:
    """Reads the prediction log as far as it is about one rollout, and keeps what it has read; for one thread.

    :param since: When the rollout began.
    """

    def __init__(self, store: Store, project: str, rollout: RolloutRef, since: datetime) -> None:
        self._store = store
        self._project = project
        self._rollout = rollout
        self._since = since
        self._read: set[str] = set()
        self._rows = {kind: SCHEMAS[kind].empty_table().select(columns) for kind, columns in COLUMNS.items()}
        self._counted: tuple[dict[int, float], RolloutCounts] | None = None

    def read(self, weights: Mapping[int, float]) -> RolloutCounts:
        """Count what has been published up to now.

        :param weights: The release's share of the traffic by plan revision, from `trace_shares`.
        :raises ServiceUnavailableError: the store does not answer.
        """
        for kind in COLUMNS:
            self._read_new(kind)
        if self._counted is None or self._counted[0] != weights:
            digest, by_key = self._rollout.release.digest, self._rollout.strategy == "ab_test"
            self._counted = dict(weights), count_rows(self._rows, weights, digest, by_key=by_key)
        return self._counted[1]

    def _read_new(self, kind: str) -> None:
        """Read the files that were not there the last time: all, or none if the store fails."""
        read = {address: self._read_file(address, kind) for address in self._list_new(kind)}
        if read:
            self._counted = None
            self._read.update(read)
            self._rows[kind] = pa.concat_tables([self._rows[kind], *read.values()]).combine_chunks()

    def _read_file(self, address: str, kind: str) -> pa.Table:
        try:
            content = pa.BufferReader(self._store.read(address))
            table = pq.read_table(content, schema=SCHEMAS[kind], columns=COLUMNS[kind])
            return table.filter(pc.greater_equal(table["time"], self._since - CLOCK_SKEW))
        except ArtifactNotFoundError:
            # Joined with others since it was listed; the file that it went into is read next time.
            return SCHEMAS[kind].empty_table().select(COLUMNS[kind])
        except pa.ArrowException:
            # One broken file must not keep a harmful release in service: what the others say still counts.
            logger.exception("%s cannot be read; the judge goes on without it", address)
            return SCHEMAS[kind].empty_table().select(COLUMNS[kind])

    def _list_new(self, kind: str) -> Iterator[str]:
        day, last = (self._since.astimezone(UTC) - CLOCK_SKEW).date(), (datetime.now(UTC) + CLOCK_SKEW).date()
        while day <= last:
            addresses = self._store.list(f"{self._project}/{kind}/{day}", "*.parquet")
            yield from (address for address in addresses if address not in self._read and not self._is_older(address))
            day += timedelta(days=1)

    def _is_older(self, address: str) -> bool:
        named = NAMED.match(address.rpartition("/")[2])
        return named is not None and named[1] < f"{self._since.astimezone(UTC) - LONGEST:%Y%m%dT%H%M%S}"


def trace_shares(plans: "Iterable[PlanRevision]", rollout: RolloutRef, since: datetime) -> dict[int, float]:
    """Return the release's share of the traffic in every plan revision of its rollout.

    :param plans: The history of the project's plans.
    :param since: When the rollout began; one that is tried again under its number starts from nothing.
    """
    return {
        revision: find_share(plan, rollout.release)
        for revision, plan, _, at in plans
        if plan is not None and plan.rollout == rollout.id and at >= since
    }
