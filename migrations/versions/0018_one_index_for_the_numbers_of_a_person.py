"""The numbers of a person are found by their unique constraint; the index beside it only cost."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_contact_point_person_id", table_name="contact_point")


def downgrade() -> None:
    op.create_index("ix_contact_point_person_id", "contact_point", ["person_id"])
