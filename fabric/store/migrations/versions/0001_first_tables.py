"""The first tables.  Written out, not taken from schema.py: that goes on, this stays as it was."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_broker_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broker")),
    )
    op.create_table(
        "keys",
        sa.Column("public_key", sa.String(40), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger()),
        sa.CheckConstraint("role IN ('node', 'operator')", name=op.f("ck_keys_role")),
        sa.PrimaryKeyConstraint("public_key", name=op.f("pk_keys")),
    )
    op.create_index(
        "ix_keys_one_per_name",
        "keys",
        ["role", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_ns IS NULL"),
        postgresql_where=sa.text("revoked_ns IS NULL"),
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("heard_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )
    _create_runs()
    _create_parts_of_runs()


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("operator", sa.String(63), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("trial", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("lease_s", sa.Float(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("closed_ns", sa.BigInteger()),
        sa.Column("nodes", sa.JSON(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_runs_state")),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_opened_ns", "runs", ["opened_ns"])


def _create_parts_of_runs() -> None:
    op.create_table(
        "reservations",
        sa.Column("node", sa.String(63), nullable=False),
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        _of_run("reservations"),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_reservations")),
    )
    op.create_index("ix_reservations_run", "reservations", ["run"])
    op.create_table(
        "phases",
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("phase", sa.String(80), nullable=False),
        sa.Column("go", sa.Integer(), nullable=False),
        sa.Column("t0_ns", sa.BigInteger(), nullable=False),
        sa.Column("lead_ns", sa.BigInteger(), nullable=False),
        sa.Column("skew_ns", sa.BigInteger()),
        sa.Column("skew_bound_ns", sa.BigInteger()),
        sa.Column("failed", sa.Boolean()),
        _of_run("phases"),
        sa.PrimaryKeyConstraint("run", "phase", "go", name=op.f("pk_phases")),
    )
    op.create_table(
        "steps",
        sa.Column("run", sa.String(80), nullable=False),
        sa.Column("node", sa.String(63), nullable=False),
        sa.Column("step", sa.String(300), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("failed", sa.Boolean()),
        sa.Column("exit_code", sa.BigInteger()),
        sa.Column("signal", sa.Integer()),
        sa.Column("started_ns", sa.BigInteger()),
        sa.Column("finished_ns", sa.BigInteger()),
        sa.Column("message", sa.Text(), nullable=False),
        _of_run("steps"),
        sa.PrimaryKeyConstraint("run", "node", "step", "attempt", name=op.f("pk_steps")),
    )


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run"], ["runs.run"], name=op.f(f"fk_{table}_run"), ondelete="CASCADE")
