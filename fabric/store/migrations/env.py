"""Alembic's entry: it runs on the connection that the catalogue has open (see database.py)."""

from alembic import context

from fabric.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
