"""Every stage once, from delivery to service, in one process."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from include.cli.rollouts import deploy_release
from include.cli.search import search_settings
from include.cli.workplace import Workplace


def run_lifecycle(workplace: Workplace, days: Sequence[str]) -> dict[str, Any]:
    """Ingest days, tune if asked, train, judge, register and deploy; say what came of it, and how long each stage took.

    Run again, it finds everything there: a candidate that is champion already is not judged a second time.

    :raises NotCertifiedError: the candidate was rejected; what served before serves on.
    """
    from include.registry.aliases import find_champion

    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
        return result

    dataset = [timed("ingest", partial(workplace.ingest, day)) for day in days][-1]
    if workplace.project.tuning.budget:
        timed("tune", partial(search_settings, workplace))
    candidate = timed("train", workplace.train)
    champion = find_champion(workplace.project.name, workplace.ledger)
    if champion is not None and champion.model.key == candidate.key:
        promoted, version = False, champion
    else:
        timed("decide", partial(workplace.decide, candidate))
        promoted, version = True, timed("register", partial(workplace.register, candidate))
    release = timed("package", partial(workplace.package, version))
    timed("deploy", partial(deploy_release, workplace, release))
    return {
        "dataset": dataset.digest,
        "model": candidate.key,
        "promoted": promoted,
        "version": version.version,
        "release": release.digest,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }
