"""Tables of images: dataset versions, their partitions and images, who read them, what was forgotten."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("dataset", sa.JSON, nullable=False),
    now(),
)

partitions = sa.Table(
    "partitions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("validation", sa.JSON, nullable=False),
    now(),
    sa.Index("ix_partitions_project_partition", "project", "partition"),
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
    now(),
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
    now(),
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
    now(),
    sa.Index("ix_validations_project_partition", "project", "partition"),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("receipt", sa.JSON, nullable=False),
    now(),
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="Image digest, or SHA-256 of a subject key."),
    sa.Column("erasure", sa.BigInteger),
    now(),
)
