"""Incidents with their timeline and corrective actions, and what was in force meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables."""
    _create_incidents()
    _create_events()
    op.create_table(
        "sightings",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("project", sa.Text, nullable=False, comment="Empty: it concerns every project."),
        sa.Column("what", sa.Text, nullable=False, comment="configuration, code or infrastructure"),
        sa.Column("value", sa.Text, nullable=False, comment="As it was from then on."),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_sightings_project_what", "sightings", ["project", "what"])


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("project", "kind")),
        sa.Column("key", sa.Text, nullable=False, comment="Names the trouble."),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("title", "impact", "urgency", "severity")),
        sa.Column("state", sa.Text, nullable=False, comment="open, acknowledged or resolved"),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("owner", "runbook")),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True)),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_by", sa.Text),
        sa.Column("escalation", sa.Integer, nullable=False, comment="Steps of the path taken so far."),
        sa.Column("seen", sa.BigInteger, nullable=False, comment="How often the trouble was reported."),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("lesson", sa.Text, nullable=False),
    )
    unresolved = sa.text("state <> 'resolved'")
    op.create_index(
        "uq_incidents_unresolved", "incidents", ["project", "key"], unique=True, postgresql_where=unresolved
    )
    op.create_index("ix_incidents_project_opened_at", "incidents", ["project", "opened_at"])


def _create_events() -> None:
    op.create_table(
        "incident_events",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("incident", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("who", "what", "kind")),
    )
    op.create_table(
        "corrective_actions",
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("incident", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("what", "owner")),
        sa.Column("due", sa.DateTime(timezone=True)),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    for table in ("incident_events", "corrective_actions"):
        op.create_index(f"ix_{table}_incident", table, ["incident"])
