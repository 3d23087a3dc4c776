"""Count what the prediction log says of availability and latency, minute by minute, each of its files once."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts import Objective
from include.ledger import Ledger
from include.ledger.objectives import Tally, find_last_minute, record_counts
from include.predictions import PREDICTIONS
from include.storage import Store

SOURCE = "log"
MODELS = ("champion", "candidate", "previous")
COLUMNS = ["time", "answered_by", "failed", "latency_ms"]
# The file of a segment is named for its first row; one that was folded out of many is not.
SEGMENT = re.compile(r"(\d{8}T\d{6})-[0-9a-f]{32}\.parquet")
# How long a segment may stay open, and how much later it may be published, for a watcher that has just started.
LONGEST = timedelta(hours=1)
# What a watcher before this one may not have counted to its end.
AGAIN = timedelta(minutes=10)
FARTHEST = timedelta(days=1)

logger = logging.getLogger(__name__)


class LogCounter:
    """Counts one project's answers from the minute on at which the last counter stopped.

    :param max_latency_ms: Slower answers are bad ones.
    """

    def __init__(self, store: Store, ledger: Ledger, project: str, max_latency_ms: float) -> None:
        self._store = store
        self._ledger = ledger
        self._project = project
        self._max_latency_ms = max_latency_ms
        self._since: datetime | None = None
        self._seen: set[str] = set()
        self._sums: dict[Objective, dict[datetime, Tally]] = {"availability": {}, "latency": {}}
        self._touched: set[datetime] = set()

    def count(self, now: datetime) -> None:
        """Add what has been published since the last time to the ledger's counts.

        :raises ServiceUnavailableError: ledger or store do not answer; nothing is lost, the next call adds it.
        """
        if self._since is None:
            last = find_last_minute(self._ledger, self._project, "availability", SOURCE)
            earliest = now - FARTHEST
            self._since = max(last - AGAIN, earliest) if last else earliest.replace(second=0, microsecond=0)
        for address in list(self._list_new(now)):
            self._add(self._read(address))
            self._seen.add(address)
        for objective, sums in self._sums.items():
            touched = {minute: sums[minute] for minute in sorted(self._touched)}
            record_counts(self._ledger, self._project, objective, SOURCE, touched)
        self._touched.clear()
        self._forget(now)

    def _list_new(self, now: datetime) -> Iterator[str]:
        since = self._since or now
        day = since.astimezone(UTC).date()
        while day <= now.astimezone(UTC).date():
            for address in self._store.list(f"{self._project}/predictions/{day}", "*.parquet"):
                named = SEGMENT.fullmatch(address.rpartition("/")[2])
                if named and address not in self._seen and named[1] >= f"{since - LONGEST:%Y%m%dT%H%M%S}":
                    yield address
            day += timedelta(days=1)

    def _read(self, address: str) -> pa.Table:
        content = pa.BufferReader(self._store.read(address))
        try:
            # Files are small: threads would only take memory.
            return pq.read_table(content, schema=PREDICTIONS, columns=COLUMNS, use_threads=False, pre_buffer=False)
        except (pa.ArrowException, OSError):
            logger.exception("%s cannot be read and is not counted", address)
            return PREDICTIONS.empty_table().select(COLUMNS)

    def _add(self, table: pa.Table) -> None:
        # That an image is too odd to tell is an answer, too; where models failed, the log says how.
        withheld = pc.and_(pc.equal(table["answered_by"], "abstain"), pc.is_null(table["failed"]))
        answered = pc.or_(pc.is_in(table["answered_by"], pa.array(MODELS)), withheld)
        fast = pc.and_(answered, pc.less_equal(table["latency_ms"], self._max_latency_ms))
        minutes = pc.floor_temporal(table["time"], unit="minute").to_pylist()
        counted: dict[datetime, list[int]] = defaultdict(lambda: [0, 0, 0])
        for minute, is_answered, is_fast in zip(minutes, answered.to_pylist(), fast.to_pylist(), strict=True):
            for place, one in enumerate((1, is_answered, is_fast)):
                counted[minute][place] += bool(one)
        for minute, (events, answers, in_time) in counted.items():
            # Of an earlier minute, somebody else has counted files that this counter never saw.
            if self._since and minute >= self._since:
                self._grow("availability", minute, Tally(answers, events))
                self._grow("latency", minute, Tally(in_time, answers))
                self._touched.add(minute)

    def _grow(self, objective: Objective, minute: datetime, tally: Tally) -> None:
        before = self._sums[objective].get(minute, Tally(0, 0))
        self._sums[objective][minute] = Tally(before.good + tally.good, before.events + tally.events)

    def _forget(self, now: datetime) -> None:
        """Keep only what a late file could still add to."""
        self._since = max(self._since or now, (now - FARTHEST).replace(second=0, microsecond=0))
        for sums in self._sums.values():
            for minute in [minute for minute in sums if minute < self._since]:
                del sums[minute]
        first_day = f"{self._since.astimezone(UTC):%Y-%m-%d}"
        self._seen = {address for address in self._seen if address.split("/")[-2] >= first_day}
