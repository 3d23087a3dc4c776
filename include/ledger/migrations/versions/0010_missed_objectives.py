"""Episodes that a missed objective opened."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Say that there is a third reason to open one."""
    op.alter_column("episodes", "trigger", comment="drift, degradation or objective")
