"""Certificates, and an audit chain that can only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END
$$
"""
APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Create the tables that answer for the models."""
    op.create_table(
        "certificates",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("signed", sa.LargeBinary, nullable=False, comment="The document with its signature, byte for byte."),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.UniqueConstraint("project", "model_key"),
    )
    op.create_table(
        "audit_entries",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="registration, verdict, approval, alias or override"),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("previous", sa.Text, nullable=False, comment="Hash of the entry before; empty for the first."),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.execute(REFUSE)
    op.execute(APPEND_ONLY)
