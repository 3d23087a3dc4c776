"""Tables of incidents: what somebody has to know of, what happened to it, and what was in force meanwhile."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, comment="Names the trouble."),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("impact", sa.Text, nullable=False),
    sa.Column("urgency", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="open, acknowledged or resolved"),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("runbook", sa.Text, nullable=False),
    sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("acknowledged_at", sa.DateTime(timezone=True)),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("resolved_at", sa.DateTime(timezone=True)),
    sa.Column("resolved_by", sa.Text),
    sa.Column("escalation", sa.Integer, nullable=False, comment="Steps of the path taken so far."),
    sa.Column("seen", sa.BigInteger, nullable=False, comment="How often the trouble was reported."),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("lesson", sa.Text, nullable=False),
    sa.Index("uq_incidents_unresolved", "project", "key", unique=True, postgresql_where=sa.text("state <> 'resolved'")),
    sa.Index("ix_incidents_project_opened_at", "project", "opened_at"),
)

incident_events = sa.Table(
    "incident_events",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("incident", sa.BigInteger, nullable=False, index=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
)

corrective_actions = sa.Table(
    "corrective_actions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("incident", sa.BigInteger, nullable=False, index=True),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("due", sa.DateTime(timezone=True)),
    sa.Column("done_at", sa.DateTime(timezone=True)),
    now(),
)

sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False, comment="Empty: it concerns every project."),
    sa.Column("what", sa.Text, nullable=False, comment="configuration, code or infrastructure"),
    sa.Column("value", sa.Text, nullable=False, comment="As it was from then on."),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("ix_sightings_project_what", "project", "what"),
)
