"""What operators and runs say of nodes: labels, drained, dirty."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "marks",
        sa.Column("node", sa.String(63), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("drained_by", sa.String(63), nullable=False),
        sa.Column("drained_why", sa.Text(), nullable=False),
        sa.Column("drained_ns", sa.BigInteger(), nullable=False),
        sa.Column("dirty_run", sa.String(80), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["nodes.name"], name=op.f("fk_marks_node"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_marks")),
    )
