"""After how many minutes an alert is followed by calls, until when the phone rings about a notice, who is
called as they cannot read texts, and who confirmed by a key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notice", sa.Column("call_after", sa.SmallInteger(), nullable=True))
    op.add_column("notice", sa.Column("ringing_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("person", sa.Column("call_since", sa.Date(), nullable=True))
    op.create_index(
        "ix_person_call_since",
        "person",
        ["id"],
        postgresql_where=sa.text("call_since is not null"),
    )
    # the tables are large: checked without keeping anybody from writing
    op.execute(
        "alter table notice add constraint ck_notice_call_after check (call_after is null or "
        "(alert is not null and call_after between 1 and 60)) not valid"
    )
    op.execute("alter table notice validate constraint ck_notice_call_after")
    op.create_index(
        "ix_notice_ringing",
        "notice",
        ["ringing_until"],
        postgresql_where=sa.text("ringing_until is not null"),
    )
    op.add_column(
        "notice_recipient",
        sa.Column("by_call", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("notice_recipient", "by_call")
    op.drop_index("ix_notice_ringing", table_name="notice")
    op.drop_constraint(op.f("ck_notice_call_after"), "notice", type_="check")
    op.drop_index("ix_person_call_since", table_name="person")
    op.drop_column("person", "call_since")
    op.drop_column("notice", "ringing_until")
    op.drop_column("notice", "call_after")
