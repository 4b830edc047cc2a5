"""Where a calendar entry is, for its GEO; entries of before get it with their next change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("lat", "lng"):
        op.add_column("calendar_entry", sa.Column(name, sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("ck_calendar_entry_both_coordinates"),
        "calendar_entry",
        "(lat is null) = (lng is null)",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_calendar_entry_both_coordinates"), "calendar_entry")
    for name in ("lng", "lat"):
        op.drop_column("calendar_entry", name)
