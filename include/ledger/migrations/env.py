"""Alembic runs this to migrate the ledger, on the connection `Ledger.migrate` hands over."""

from alembic import context

from include.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    # Two stacks, or two attempts, may start at once: the second waits, then finds nothing left to do.
    context.execute("SELECT pg_advisory_xact_lock(8424201)")
    context.run_migrations()
