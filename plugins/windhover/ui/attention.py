"""Whether anybody still looks: what a page says is worth no more than the last look behind it."""

from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windhover.ui.overview import Overview

# monitor_model looks every hour at the hour before, and takes minutes.
LOOKED = timedelta(hours=2)
# The watcher takes a sample every 15 seconds.
HEARD = timedelta(minutes=2)
# The watcher measures every minute; one that has just been started first reads what was logged meanwhile.
MEASURED = timedelta(minutes=10)


def find_neglect(view: "Overview") -> datetime | None:
    """Return since when nobody has looked at live images, where that is too long ago; None while nothing serves."""
    from include.monitoring.series import LONGEST_WINDOW, read_series

    serving = list(takewhile(lambda one: one.plan, view.service.revisions))
    if not serving or view.now - serving[-1].at <= LOOKED:
        return None
    ends = [one.end for one in view.profiles] + [one.end for one in view.drifts]
    if not ends:
        # One that is counted in predictions may have begun before the span that is shown.
        ends = [one.end for one in read_series(view.store, view.project.name, view.now - LONGEST_WINDOW)]
    since = max(serving[-1].at, max(ends, default=view.now - LONGEST_WINDOW))
    return since if view.now - since > LOOKED else None


def find_silence(view: "Overview") -> datetime | None:
    """Return when the watcher was last heard of, where that is too long ago; None where it never was."""
    from include.ledger.host import find_last_sample

    last = find_last_sample(view.ledger)
    return last if last and view.now - last > HEARD else None


def find_unmeasured(view: "Overview") -> datetime | None:
    """Return when the objectives were last measured, where that is too long ago; None where they never were."""
    last = max((one.at for one in view.objectives), default=None)
    return last if last and view.now - last > MEASURED else None
