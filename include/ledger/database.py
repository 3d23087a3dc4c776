"""Connect to the ledger, create and upgrade it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from include.errors import ContractViolationError, ServiceUnavailableError

MIGRATIONS = Path(__file__).parent / "migrations"
# A network that is cut in the middle of a query says nothing: whoever waits must notice by itself.
PATIENCE = {"connect_timeout": 10, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
# Moments are read, and shown, in UTC, whatever the server's own zone is.
ZONE = {"options": "-c timezone=UTC"}


class Ledger:
    """The ledger database.

    :param uri: SQLAlchemy URL of a PostgreSQL database.
    :raises ContractViolationError: it is not one.
    """

    def __init__(self, uri: str) -> None:
        self.url = _read_url(uri)
        # Tasks are short and forked: a pool would only hold connections that a fork must not share.
        self._engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=PATIENCE | ZONE)

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open one transaction; a server that does not answer is a `ServiceUnavailableError`."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            where = self.url.render_as_string(hide_password=True)
            reason = " ".join(str(error.orig).split())
            raise ServiceUnavailableError(
                f"the ledger at {where} does not answer: {reason}; see `make status`"
            ) from error

    def migrate(self, revision: str = "head") -> None:
        """Create the tables, or bring them to this version's shape, or to an older one's."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def _read_url(uri: str) -> sa.URL:
    wanted = "set WINDHOVER_LEDGER_URI to postgresql://user:password@host:port/database"
    try:
        url = sa.make_url(uri)
    except ArgumentError as error:
        raise ContractViolationError(f"the ledger's address is empty or not a URL; {wanted}") from error
    if url.drivername.partition("+")[0] not in {"postgres", "postgresql"}:
        raise ContractViolationError(f"the ledger cannot live in {url.drivername!r}, only in PostgreSQL; {wanted}")
    return url.set(drivername="postgresql+psycopg2")
