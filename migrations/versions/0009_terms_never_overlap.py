"""Two terms of a district never share a day, whoever saves at the same moment."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_check_constraint("span", "term", "ends_on >= starts_on")
    op.execute(
        "alter table term add constraint ex_term_no_overlap exclude using gist ("
        "int8range(org_id, org_id, '[]') with &&, daterange(starts_on, ends_on, '[]') with &&)"
    )


def downgrade() -> None:
    op.execute("alter table term drop constraint ex_term_no_overlap")
    op.drop_constraint("span", "term", type_="check")
