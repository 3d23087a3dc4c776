"""First tables of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    _create_data_tables()
    _create_model_tables()
    _create_release_tables()
    op.create_table(
        "episodes",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="open, requested or closed"),
        sa.Column("drift", sa.JSON, nullable=False),
        sa.Column("answered_by", sa.Text, comment="Run that asked for the retraining."),
        _recorded_at(),
        sa.Index("uq_episodes_unclosed", "project", unique=True, postgresql_where=sa.text("state <> 'closed'")),
    )


def _create_data_tables() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("dataset", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "partitions",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("partition", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("validation", sa.JSON, nullable=False),
        _recorded_at(),
        sa.Index("ix_partitions_project_partition", "project", "partition"),
    )


def _create_model_tables() -> None:
    op.create_table(
        "candidates",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("model", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("decision", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "model_versions",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("model_key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "alias_moves",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("alias", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        _recorded_at(),
    )


def _create_release_tables() -> None:
    op.create_table(
        "releases",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("release", sa.JSON, nullable=False),
        _recorded_at(),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("release_digest", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False, comment="What started it; the same run finds its rollout again."),
        sa.Column("previous_digest", sa.Text),
        sa.Column("state", sa.Text, nullable=False, comment="started, completed or rolled_back"),
        sa.Column("reasons", sa.JSON, nullable=False),
        _recorded_at(),
        sa.UniqueConstraint("project", "release_digest", "run"),
    )
    op.create_table(
        "serving",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("release_digest", sa.Text, nullable=False),
        sa.Column("rollout", sa.BigInteger, nullable=False),
        _recorded_at(),
    )


def _recorded_at() -> sa.Column[object]:
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
