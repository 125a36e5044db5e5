"""The tables of the catalogue, as they are at the newest revision.

Only what SQLite and PostgreSQL both understand.  A change here needs a new revision in migrations/ and
its name at the end of REVISIONS; a test holds the two against each other.  Instants are fabric time in ns.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
"""All revisions that this testfabric can upgrade from, oldest first; the last is the one it uses."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

broker: Final = Table(
    "broker",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("epoch", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

keys: Final = Table(
    "keys",
    metadata,
    Column("public_key", String(40), primary_key=True),  # Z85
    Column("name", String(63), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger),
    Column("expires_ns", BigInteger),  # null: it lasts
    CheckConstraint("role IN ('node', 'operator', 'viewer')", name="role"),
)

Index(
    "ix_keys_one_per_name",
    keys.c.role,
    keys.c.name,
    unique=True,
    sqlite_where=text("revoked_ns IS NULL AND expires_ns IS NULL"),
    postgresql_where=text("revoked_ns IS NULL AND expires_ns IS NULL"),
)

invitations: Final = Table(
    "invitations",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the secret
    Column("role", String(16), nullable=False),
    Column("name", String(63), nullable=False),  # empty: any
    Column("made_by", String(63), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("uses", Integer),  # that are left; null: any number
    Column("used_by", String(63), nullable=False),
)

nodes: Final = Table(
    "nodes",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("instance", Text, nullable=False),
    Column("incarnation", BigInteger, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("addresses", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("heard_ns", BigInteger, nullable=False),
)

marks: Final = Table(
    "marks",
    metadata,
    Column("node", String(63), ForeignKey("nodes.name", ondelete="CASCADE"), primary_key=True),
    Column("labels", JSON, nullable=False),  # given by operators
    Column("drained_by", String(63), nullable=False),  # empty: not drained
    Column("drained_why", Text, nullable=False),
    Column("drained_ns", BigInteger, nullable=False),
    Column("dirty_run", String(80), nullable=False),  # empty: not dirty; the run may be deleted
    Column("dirty_why", Text, nullable=False, server_default=""),
    Column("dirty_ns", BigInteger, nullable=False, server_default="0"),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("run", String(80), primary_key=True),
    Column("name", Text, nullable=False),
    Column("operator", String(63), nullable=False),
    Column("session", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("verdict", String(16), nullable=False),  # empty while open
    Column("trial", Text, nullable=False),
    Column("plan", Text, nullable=False),  # JSON as it came
    Column("result", Text, nullable=False),  # JSON as it came; empty while open
    Column("lease_s", Float, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger),
    Column("nodes", JSON, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    Index("ix_runs_state", "state"),
    Index("ix_runs_opened_ns", "opened_ns"),
)

reservations: Final = Table(
    "reservations",
    metadata,
    Column("node", String(63), primary_key=True),  # so a node is reserved once at most
    Column("run", String(80), ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Index("ix_reservations_run", "run"),
)

phases: Final = Table(
    "phases",
    metadata,
    Column("run", String(80), ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
    Column("phase", String(80), nullable=False),  # repeat/phase
    Column("go", Integer, nullable=False),
    Column("t0_ns", BigInteger, nullable=False),
    Column("lead_ns", BigInteger, nullable=False),
    Column("skew_ns", BigInteger),
    Column("skew_bound_ns", BigInteger),
    Column("failed", Boolean),  # null: not over
    Column("earliest_node", String(63)),  # null, as the next ones: it has no skew
    Column("latest_node", String(63)),
    Column("delayed_by", Text),  # what made it the latest
    Column("way", String(16)),  # how the programs were held until their start
    PrimaryKeyConstraint("run", "phase", "go"),
)

steps: Final = Table(
    "steps",
    metadata,
    Column("run", String(80), ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
    Column("node", String(63), nullable=False),
    Column("step", String(300), nullable=False),
    Column("attempt", Integer, nullable=False),  # 0: skipped
    Column("reason", String(16)),  # null: not over
    Column("failed", Boolean),
    Column("exit_code", BigInteger),
    Column("signal", Integer),
    Column("started_ns", BigInteger),
    Column("finished_ns", BigInteger),
    Column("message", Text, nullable=False),
    PrimaryKeyConstraint("run", "node", "step", "attempt"),
)
