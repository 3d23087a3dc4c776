"""Release plans in the place of one serving release, the serving processes that follow them, and rollouts in steps."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SERVED = """
    SELECT serving.project, serving.rollout, serving.recorded_at, champion.release, before.release AS previous
    FROM serving
    JOIN releases champion ON champion.project = serving.project AND champion.digest = serving.release_digest
    LEFT JOIN rollouts ON rollouts.id = serving.rollout AND rollouts.release_digest = serving.release_digest
    LEFT JOIN releases before ON before.project = serving.project AND before.digest = rollouts.previous_digest
"""


def upgrade() -> None:
    """Turn what serves into the first plan of each project."""
    _create_tables()
    _widen_rollouts()
    connection = op.get_bind()
    insert = sa.text("INSERT INTO release_plans VALUES (:project, 1, :plan, :why, :recorded_at)")
    for row in connection.execute(sa.text(SERVED)).mappings().all():
        plan: dict[str, Any] = {"project": row["project"], "revision": 1, "rollout": row["rollout"]}
        plan |= {"champion": row["release"], "previous": row["previous"]}
        why = "served before plans were kept"
        connection.execute(insert, {**row, "plan": json.dumps(plan), "why": why})
    op.drop_table("serving")


def _create_tables() -> None:
    op.create_table(
        "release_plans",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("plan", sa.JSON, comment="None: nothing is in service."),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.create_table(
        "replicas",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )


def _widen_rollouts() -> None:
    step = sa.Column(
        "step",
        sa.Integer,
        server_default="0",
        nullable=False,
        comment="0 while the serving processes load the release.",
    )
    policy = sa.Column(
        "policy", sa.JSON, server_default="{}", nullable=False, comment="The deployment policy when it started."
    )
    op.add_column("rollouts", sa.Column("strategy", sa.Text, server_default="direct", nullable=False))
    op.add_column("rollouts", policy)
    op.add_column("rollouts", step)
    op.add_column("rollouts", sa.Column("report", sa.JSON, comment="The judge's newest report."))
    op.add_column("rollouts", sa.Column("ended_at", sa.DateTime(timezone=True)))
    for name in ("strategy", "policy", "step"):
        op.alter_column("rollouts", name, server_default=None)
