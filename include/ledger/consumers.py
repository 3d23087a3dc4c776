"""Which models were trained on which dataset versions."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.ledger.database import Ledger
from include.ledger.tables import candidates, model_versions


@dataclass(frozen=True)
class Consumer:
    """A model that was trained on a dataset version.

    :ivar certified: Its number in the model registry; none for a candidate that was never certified.
    """

    key: str
    run_id: str
    dataset_version: int
    certified: int | None
    trained_at: datetime


def list_consumers(ledger: Ledger, project: str) -> list[Consumer]:
    """Return every model trained on the project's dataset, newest first."""
    same = sa.and_(model_versions.c.project == candidates.c.project, model_versions.c.model_key == candidates.c.key)
    model = candidates.c.model
    columns = (
        candidates.c.key,
        model["run_id"].as_string(),
        model["dataset"]["version"].as_integer(),
        model_versions.c.version,
        candidates.c.recorded_at,
    )
    query = sa.select(*columns).select_from(sa.outerjoin(candidates, model_versions, same))
    query = query.where(candidates.c.project == project).order_by(candidates.c.recorded_at.desc(), candidates.c.key)
    with ledger.begin() as connection:
        return [Consumer(*row) for row in connection.execute(query)]
