"""Which families staff told by phone, who did and when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "notice_recipient", sa.Column("reached_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("notice_recipient", sa.Column("reached_by_id", sa.BigInteger(), nullable=True))
    # the table is large: the key is checked without keeping anybody from writing
    op.execute(
        "alter table notice_recipient add constraint fk_notice_recipient_reached_by_id "
        "foreign key (reached_by_id) references person (id) not valid"
    )
    op.execute("alter table notice_recipient validate constraint fk_notice_recipient_reached_by_id")


def downgrade() -> None:
    op.drop_column("notice_recipient", "reached_by_id")
    op.drop_column("notice_recipient", "reached_at")
