"""What the tables share: their metadata, and the column that says when."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)


def now() -> sa.Column[object]:
    """Return the column `recorded_at`, filled in by the database."""
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
