"""Holds, and the tombstones of retired versions."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "holds",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("hold", sa.JSON, nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), comment="None: it stands."),
    )
    standing = sa.text("released_at IS NULL")
    op.create_index("uq_holds_standing", "holds", ["project", "version"], unique=True, postgresql_where=standing)
    op.create_table(
        "retirements",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("retirement", sa.JSON, nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), comment="When the last of the originals was gone."),
    )
