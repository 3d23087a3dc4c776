"""Tables of the watcher: what it counts and measures, what it tells whom, and the rollouts it holds back."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

host_samples = sa.Table(
    "host_samples",
    metadata,
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("cpu", sa.Float, nullable=False),
    sa.Column("memory", sa.Float, nullable=False),
    sa.Column("disk", sa.Float, nullable=False),
    sa.Column("sent", sa.Float, nullable=False, comment="Bytes a second."),
    sa.Column("received", sa.Float, nullable=False, comment="Bytes a second."),
)

objective_counts = sa.Table(
    "objective_counts",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("objective", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True, comment="What counted: two sources of a minute add up."),
    sa.Column("minute", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("good", sa.BigInteger, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
)

objective_reports = sa.Table(
    "objective_reports",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("objective", sa.Text, primary_key=True),
    sa.Column("report", sa.JSON, nullable=False, comment="The newest one."),
    now(),
)

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True, comment="What is told once, such as incident/7/opened."),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, comment="The trouble; while it is quiet, it is not told again."),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False, comment="Later than made: silenced until then."),
    sa.Column("settled_at", sa.DateTime(timezone=True), comment="When nothing was left to do; none: to be told."),
    sa.Column("outcome", sa.Text, nullable=False),
    now(),
    sa.Index("ix_notifications_unsettled", "due_at", postgresql_where=sa.text("settled_at IS NULL")),
    sa.Index("ix_notifications_subject", "project", "subject"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("notification", sa.BigInteger, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True, comment="Digest of its address, which may hold a password."),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", sa.DateTime(timezone=True), comment="None: not yet."),
)

freezes = sa.Table(
    "freezes",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False, comment="What asked for it, such as slo/availability."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("lifted_at", sa.DateTime(timezone=True), comment="None: it stands."),
    now(),
    sa.Index("uq_freezes_standing", "project", "cause", unique=True, postgresql_where=sa.text("lifted_at IS NULL")),
)
