"""Who was the first and the last at the start of a phase, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("phases", sa.Column("earliest_node", sa.String(63)))
    op.add_column("phases", sa.Column("latest_node", sa.String(63)))
    op.add_column("phases", sa.Column("delayed_by", sa.Text()))
    op.add_column("phases", sa.Column("way", sa.String(16)))
