"""Episodes from their windows to their outcome, and the trainings that were asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Widen episodes, and create the tables beside them."""
    _widen_episodes()
    op.create_table(
        "episode_windows",
        sa.Column("episode", sa.BigInteger, primary_key=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("confirms", sa.Boolean, nullable=False, comment="False: it was stable."),
        _recorded_at(),
    )
    op.execute(
        "INSERT INTO episode_windows (episode, starts_at, ends_at, confirms)"
        " SELECT id, (drift->>'start')::timestamptz, (drift->>'end')::timestamptz, true FROM episodes"
    )
    op.create_table(
        "retrainings",
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
        _recorded_at(),
    )
    kept = sa.text("NOT lost")
    op.create_index(
        "uq_retrainings_occasion", "retrainings", ["project", "occasion"], unique=True, postgresql_where=kept
    )


def _widen_episodes() -> None:
    op.alter_column("episodes", "drift", nullable=True)
    op.alter_column("episodes", "answered_by", comment="Run that answered it.")
    trigger = sa.Column("trigger", sa.Text, server_default="drift", nullable=False, comment="drift or degradation")
    op.add_column("episodes", trigger)
    op.alter_column("episodes", "trigger", server_default=None)
    for name in ("performance", "diagnosis", "decision"):
        op.add_column("episodes", sa.Column(name, sa.JSON))
    op.add_column("episodes", sa.Column("outcome", sa.Text, server_default="", nullable=False))
    op.add_column("episodes", sa.Column("closed_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE episodes SET closed_at = recorded_at WHERE state = 'closed'")


def _recorded_at() -> sa.Column[object]:
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
