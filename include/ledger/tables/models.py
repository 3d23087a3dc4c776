"""Tables of models: candidates, verdicts, versions, certificates, the audit chain; and leases."""

import sqlalchemy as sa

from include.ledger.tables.metadata import metadata, now

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("model", sa.JSON, nullable=False),
    now(),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("model_key", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("decision", sa.JSON, nullable=False),
    now(),
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("model_key", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("model_version", sa.JSON, nullable=False),
    now(),
)

alias_moves = sa.Table(
    "alias_moves",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    now(),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("model_key", sa.Text, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False, comment="The document with its signature, byte for byte."),
    now(),
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
