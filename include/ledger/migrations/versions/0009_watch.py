"""What the watcher counts, measures and tells."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create its tables."""
    _create_measurements()
    _create_outbox()
    op.create_table(
        "freezes",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False, comment="What asked for it, such as slo/availability."),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), comment="None: it stands."),
        _now(),
    )
    standing = sa.text("lifted_at IS NULL")
    op.create_index("uq_freezes_standing", "freezes", ["project", "cause"], unique=True, postgresql_where=standing)


def _create_measurements() -> None:
    op.create_table(
        "host_samples",
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("cpu", "memory", "disk")),
        *(sa.Column(name, sa.Float, nullable=False, comment="Bytes a second.") for name in ("sent", "received")),
    )
    op.create_table(
        "objective_counts",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("objective", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True, comment="What counted: two sources of a minute add up."),
        sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("good", sa.BigInteger, nullable=False),
        sa.Column("events", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "objective_reports",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("objective", sa.Text, primary_key=True),
        sa.Column("report", sa.JSON, nullable=False, comment="The newest one."),
        _now(),
    )


def _create_outbox() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True, comment="What is told once, such as incident/7/opened."),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False, comment="The trouble; while it is quiet, it is not told again."),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False, comment="Later than made: silenced until then."),
        sa.Column("settled_at", _MOMENT, comment="When nothing was left to do; none: to be told."),
        sa.Column("outcome", sa.Text, nullable=False),
        _now(),
    )
    unsettled = sa.text("settled_at IS NULL")
    op.create_index("ix_notifications_unsettled", "notifications", ["due_at"], postgresql_where=unsettled)
    op.create_index("ix_notifications_subject", "notifications", ["project", "subject"])
    op.create_table(
        "deliveries",
        sa.Column("notification", sa.BigInteger, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True, comment="Digest of its address, which may hold a password."),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sent_at", _MOMENT, comment="None: not yet."),
    )


_MOMENT = sa.DateTime(timezone=True)


def _now() -> sa.Column[object]:
    return sa.Column("recorded_at", _MOMENT, server_default=sa.func.now(), nullable=False)
