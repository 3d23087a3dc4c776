"""The databases of a stack's PostgreSQL server: create them, and note what they have been through."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from deploy.errors import StackError
from deploy.home import Home

DATABASES = ("airflow", "mlflow", "windhover")


def is_answering(home: Home) -> bool:
    """Tell whether the server takes connections; one that refuses the password is a `StackError`."""
    try:
        with _connect(home, "postgres") as connection:
            connection.execute(sa.text("SELECT 1"))
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        if "password" in reason:
            raise StackError(f"PostgreSQL does not take the password in {home.passwords}: {reason}") from error
        return False
    return True


def ensure_databases(home: Home) -> None:
    """Create the databases that are missing."""
    with _connect(home, "postgres") as connection:
        present = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
        for name in DATABASES:
            if name not in present:
                connection.execute(sa.text(f'CREATE DATABASE "{name}"'))


def read_migrated_version(home: Home, database: str) -> str | None:
    """Return the version whose migrations a database has been through, as noted on the database itself."""
    with _connect(home, database) as connection:
        note = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        version: str | None = connection.scalar(sa.text(note))
    return version


def note_migrated_version(home: Home, database: str, version: str) -> None:
    """Note on a database which version's migrations it has been through."""
    with _connect(home, database) as connection:
        statement = connection.scalar(
            sa.text("SELECT format('COMMENT ON DATABASE %I IS %L', CAST(:database AS text), CAST(:version AS text))"),
            {"database": database, "version": version},
        )
        connection.execute(sa.text(str(statement)))


@contextlib.contextmanager
def _connect(home: Home, database: str) -> Iterator[sa.Connection]:
    arguments = {"connect_timeout": 5}
    engine = sa.create_engine(
        home.database_url(database), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
    )
    with engine.connect() as connection:
        yield connection
