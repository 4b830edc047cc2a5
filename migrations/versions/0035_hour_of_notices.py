"""From when on in a day somebody wants notices that can wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("notices_from", sa.Time(), nullable=True))


def downgrade() -> None:
    op.drop_column("person", "notices_from")
