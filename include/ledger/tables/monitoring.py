"""Tables of what is done about drift: episodes, the windows they were seen in, the trainings that were asked for."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

episodes = sa.Table(
    "episodes",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="open, requested or closed"),
    sa.Column("trigger", sa.Text, nullable=False, comment="drift, degradation or objective"),
    sa.Column("drift", sa.JSON(none_as_null=True)),
    sa.Column("performance", sa.JSON(none_as_null=True)),
    sa.Column("diagnosis", sa.JSON(none_as_null=True)),
    sa.Column("decision", sa.JSON(none_as_null=True)),
    sa.Column("answered_by", sa.Text, comment="Run that answered it."),
    sa.Column("outcome", sa.Text, server_default="", nullable=False),
    sa.Column("closed_at", sa.DateTime(timezone=True)),
    now(),
    sa.Index("uq_episodes_unclosed", "project", unique=True, postgresql_where=sa.text("state <> 'closed'")),
)

episode_windows = sa.Table(
    "episode_windows",
    metadata,
    sa.Column("episode", sa.BigInteger, primary_key=True),
    sa.Column("starts_at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("ends_at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("confirms", sa.Boolean, nullable=False, comment="False: it was stable."),
    now(),
)

retrainings = sa.Table(
    "retrainings",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("occasion", sa.Text, nullable=False, comment="What it answers; each is answered once."),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False, comment="Run that asked for it."),
    sa.Column("run", sa.Text, comment="Run that trains; none: it has not begun."),
    sa.Column("began_at", sa.DateTime(timezone=True)),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    sa.Column("outcome", sa.Text, server_default="", nullable=False),
    sa.Column("lost", sa.Boolean, server_default=sa.false(), nullable=False, comment="It never began."),
    now(),
    sa.Index("uq_retrainings_occasion", "project", "occasion", unique=True, postgresql_where=sa.text("NOT lost")),
)
