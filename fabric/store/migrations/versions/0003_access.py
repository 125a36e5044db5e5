"""Viewers, keys that end when a newer one has followed, and invitations."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OLD = sa.table(
    "keys", *(sa.column(name) for name in ("public_key", "name", "role", "created_ns", "revoked_ns"))
)


def upgrade() -> None:
    # Made anew, for SQLite cannot change a constraint: the few rows are held meanwhile.
    rows = [dict(row) for row in op.get_bind().execute(sa.select(_OLD)).mappings()]
    op.drop_index("ix_keys_one_per_name", "keys")
    op.drop_table("keys")
    made = op.create_table(
        "keys",
        sa.Column("public_key", sa.String(40), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger()),
        sa.Column("expires_ns", sa.BigInteger()),
        sa.CheckConstraint("role IN ('node', 'operator', 'viewer')", name=op.f("ck_keys_role")),
        sa.PrimaryKeyConstraint("public_key", name=op.f("pk_keys")),
    )
    if rows:
        op.bulk_insert(made, rows)
    op.create_index(
        "ix_keys_one_per_name",
        "keys",
        ["role", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_ns IS NULL AND expires_ns IS NULL"),
        postgresql_where=sa.text("revoked_ns IS NULL AND expires_ns IS NULL"),
    )
    op.create_table(
        "invitations",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("made_by", sa.String(63), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer()),
        sa.Column("used_by", sa.String(63), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_invitations")),
    )
