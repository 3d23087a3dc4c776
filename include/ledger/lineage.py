"""Which dataset versions held an image, which models learned from those, and which releases carry these models."""

from dataclasses import dataclass

import sqlalchemy as sa

from include.ledger.database import Ledger
from include.ledger.tables import candidates, dataset_versions, memberships, releases

VERSION = candidates.c.model["dataset"]["version"].as_integer()
# Joins candidates with the images that their dataset versions held.
LEARNED_FROM = sa.and_(
    memberships.c.project == candidates.c.project,
    memberships.c.since_version <= VERSION,
    sa.or_(memberships.c.until_version.is_(None), memberships.c.until_version > VERSION),
)


@dataclass(frozen=True)
class Membership:
    """One image in one partition, from the first dataset version that held it to the first that no longer did."""

    digest: str
    partition: str
    source: str
    since: int
    until: int | None

    def covers(self, version: int) -> bool:
        """Tell whether a dataset version held the image there."""
        return self.since <= version and (self.until is None or version < self.until)


@dataclass(frozen=True)
class Descendant:
    """A model trained on a dataset version, and the releases that carry it."""

    model_key: str
    run_id: str
    version: int
    release: str | None


def find_memberships(
    ledger: Ledger, project: str, *, image: str | None = None, source: str | None = None
) -> list[Membership]:
    """Return where an image was, or what images a delivered file became, oldest first."""
    table = memberships.c
    query = sa.select(table.digest, table.partition, table.source, table.since_version, table.until_version)
    query = query.where(table.project == project).order_by(table.since_version, table.partition)
    query = query.where(table.digest == image) if image else query.where(table.source == source)
    with ledger.begin() as connection:
        return [Membership(*row) for row in connection.execute(query)]


def list_members(ledger: Ledger, project: str, version: int) -> list[Membership]:
    """Return the images that a dataset version held, a membership for each partition."""
    table = memberships.c
    query = sa.select(table.digest, table.partition, table.source, table.since_version, table.until_version)
    query = query.where(table.project == project, table.since_version <= version)
    query = query.where(sa.or_(table.until_version.is_(None), table.until_version > version))
    with ledger.begin() as connection:
        return [Membership(*row) for row in connection.execute(query)]


def find_descendants(ledger: Ledger, project: str, image: str) -> list[Descendant]:
    """Return every model trained on a dataset version that held an image, once for each release of it."""
    key = releases.c.release["model"]["model"]["key"].as_string()
    carried = sa.and_(releases.c.project == candidates.c.project, key == candidates.c.key)
    joined = sa.join(candidates, memberships, LEARNED_FROM).outerjoin(releases, carried)
    columns = (candidates.c.key, candidates.c.model["run_id"].as_string(), VERSION, releases.c.digest)
    query = (
        sa.select(*columns).select_from(joined).where(candidates.c.project == project, memberships.c.digest == image)
    )
    with ledger.begin() as connection:
        return [Descendant(*row) for row in connection.execute(query.distinct().order_by(VERSION, candidates.c.key))]


def list_version_numbers(ledger: Ledger, project: str) -> list[int]:
    """Return the number of every published dataset version, oldest first."""
    query = sa.select(dataset_versions.c.version).where(dataset_versions.c.project == project)
    with ledger.begin() as connection:
        return list(connection.scalars(query.order_by(dataset_versions.c.version)))
