"""Why a node is dirty, and since when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("marks", sa.Column("dirty_why", sa.Text(), nullable=False, server_default=""))
    op.add_column("marks", sa.Column("dirty_ns", sa.BigInteger(), nullable=False, server_default="0"))
