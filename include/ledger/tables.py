"""The tables of the ledger. Contracts are kept as JSON beside the columns that queries need."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(column_0_label)s",
    }
)


def _now() -> sa.Column[object]:
    return sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("dataset", sa.JSON, nullable=False),
    _now(),
)

partitions = sa.Table(
    "partitions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("validation", sa.JSON, nullable=False),
    _now(),
    sa.Index("ix_partitions_project_partition", "project", "partition"),
)

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("model", sa.JSON, nullable=False),
    _now(),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("model_key", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("decision", sa.JSON, nullable=False),
    _now(),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model_key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.JSON, nullable=False),
    _now(),
)

alias_moves = sa.Table(
    "alias_moves",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    _now(),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("release", sa.JSON, nullable=False),
    _now(),
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
    _now(),
    sa.UniqueConstraint("project", "release_digest", "run"),
)

release_plans = sa.Table(
    "release_plans",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True),
    sa.Column("plan", sa.JSON, comment="None: nothing is in service."),
    sa.Column("why", sa.Text, nullable=False),
    _now(),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("report", sa.JSON, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
)

episodes = sa.Table(
    "episodes",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="open, requested or closed"),
    sa.Column("drift", sa.JSON, nullable=False),
    sa.Column("answered_by", sa.Text, comment="Run that asked for the retraining."),
    _now(),
    sa.Index("uq_episodes_unclosed", "project", unique=True, postgresql_where=sa.text("state <> 'closed'")),
)

memberships = sa.Table(
    "memberships",
    metadata,
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

dataset_reads = sa.Table(
    "dataset_reads",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False, comment="train, evaluate, package or export"),
    sa.Column("reader", sa.Text, nullable=False, comment="Run, or who called the command line."),
    _now(),
    sa.UniqueConstraint("project", "version", "purpose", "reader"),
)

quarantine_releases = sa.Table(
    "quarantine_releases",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False, comment="Address of what was released; other content is not."),
    sa.Column("released_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    _now(),
    sa.UniqueConstraint("project", "partition", "content"),
)

validations = sa.Table(
    "validations",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("validation", sa.JSON, nullable=False),
    _now(),
    sa.Index("ix_validations_project_partition", "project", "partition"),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("receipt", sa.JSON, nullable=False),
    _now(),
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="Image digest, or SHA-256 of a subject key."),
    sa.Column("erasure", sa.BigInteger),
    _now(),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("model_key", sa.Text, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False, comment="The document with its signature, byte for byte."),
    _now(),
    sa.UniqueConstraint("project", "model_key"),
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="registration, verdict, approval, alias or override"),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("previous", sa.Text, nullable=False, comment="Hash of the entry before; empty for the first."),
    sa.Column("hash", sa.Text, nullable=False),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("hold", sa.JSON, nullable=False),
    sa.Column("released_at", sa.DateTime(timezone=True), comment="None: it stands."),
    sa.Index("uq_holds_standing", "project", "version", unique=True, postgresql_where=sa.text("released_at IS NULL")),
)

retirements = sa.Table(
    "retirements",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("model_key", sa.Text, nullable=False),
    sa.Column("retirement", sa.JSON, nullable=False),
    sa.Column("removed_at", sa.DateTime(timezone=True), comment="When the last of the originals was gone."),
)
