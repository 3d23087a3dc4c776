"""Say in the ledger, once a second, what this serving process does."""

import logging
import threading
from datetime import UTC, datetime

from include.errors import WindhoverError
from include.ledger import Ledger
from include.ledger.plans import record_replica, remove_replica
from include.serving.plan import ServingPlan

REPORT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Heartbeat:
    """The thread that reports one process; while the ledger is away, nobody misses what it would say."""

    def __init__(self, ledger: Ledger, plan: ServingPlan, name: str, address: str) -> None:
        self._ledger = ledger
        self._plan = plan
        self._name = name
        self._address = address
        self._started_at = datetime.now(UTC)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._report_often, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Report until told to stop."""
        self._thread.start()

    def stop(self) -> None:
        """End, and say so."""
        self._stopping.set()
        self._thread.join()
        try:
            remove_replica(self._ledger, self._name)
        except WindhoverError as error:
            logger.warning("the ledger will take %s for alive a little longer: %s", self._name, error)

    def _report_often(self) -> None:
        while True:
            try:
                record_replica(self._ledger, self._plan.report(self._name, self._address, self._started_at))
            except Exception:
                # The next one may get through; of a ledger that is away, the plan's own thread complains already.
                logger.debug("the ledger does not hear of %s", self._name, exc_info=True)
            if self._stopping.wait(REPORT_SECONDS):
                return
