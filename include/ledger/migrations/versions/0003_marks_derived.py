"""Marks of models follow from what was forgotten and from memberships; a table of them could miss a late model."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Drop the table of marks."""
    op.drop_table("model_marks")
