"""Tables of what serves: releases, rollouts, plans, and the processes that follow them."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("release", sa.JSON, nullable=False),
    now(),
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("release_digest", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False, comment="What started it; the same run finds its rollout again."),
    sa.Column("previous_digest", sa.Text),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("policy", sa.JSON, nullable=False, comment="The deployment policy when it started."),
    sa.Column("state", sa.Text, nullable=False, comment="started, completed or rolled_back"),
    sa.Column("step", sa.Integer, nullable=False, comment="0 while the serving processes load the release."),
    sa.Column("report", sa.JSON, comment="The judge's newest report."),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("ended_at", sa.DateTime(timezone=True)),
    now(),
    sa.UniqueConstraint("project", "release_digest", "run"),
)

release_plans = sa.Table(
    "release_plans",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    sa.Column("plan", sa.JSON, comment="None: nothing is in service."),
    sa.Column("why", sa.Text, nullable=False),
    now(),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("report", sa.JSON, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
)
