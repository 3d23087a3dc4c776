"""Memberships, reads, releases of quarantines, validations and erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables that answer for the data."""
    _create_version_tables()
    _create_quality_tables()
    _create_erasure_tables()


def _create_version_tables() -> None:
    op.create_table(
        "memberships",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True, comment="Of one image."),
        sa.Column("partition", sa.Text, primary_key=True),
        sa.Column("since_version", sa.BigInteger, primary_key=True, comment="First dataset version that holds it."),
        sa.Column("until_version", sa.BigInteger, comment="First version that no longer holds it."),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Index("ix_memberships_project_source", "project", "source"),
        sa.Index("ix_memberships_project_subject", "project", "subject"),
    )
    op.create_table(
        "dataset_reads",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False, comment="train, evaluate, package or export"),
        sa.Column("reader", sa.Text, nullable=False, comment="Run, or who called the command line."),
        _recorded_at(),
        sa.UniqueConstraint("project", "version", "purpose", "reader"),
    )


def _create_quality_tables() -> None:
    op.create_table(
        "quarantine_releases",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False, comment="Address of what was released; other content is not."),
        sa.Column("released_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _recorded_at(),
        sa.UniqueConstraint("project", "partition", "content"),
    )
    op.create_table(
        "validations",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("validation", sa.JSON, nullable=False),
        _recorded_at(),
        sa.Index("ix_validations_project_partition", "project", "partition"),
    )


def _create_erasure_tables() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("receipt", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "forgotten",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True, comment="Image digest, or SHA-256 of a subject key."),
        sa.Column("erasure", sa.BigInteger),
        _recorded_at(),
    )
    op.create_table(
        "model_marks",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("model_key", sa.Text, primary_key=True),
        sa.Column("erasure", sa.BigInteger, primary_key=True, comment="What was erased after it was learned from."),
        _recorded_at(),
    )


def _recorded_at() -> sa.Column[object]:
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
