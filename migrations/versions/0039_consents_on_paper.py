"""Who wrote down a consent that came on paper or by word of mouth."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("consent_answer", sa.Column("recorded_by_id", sa.BigInteger(), nullable=True))
    # the table is large: both are checked without keeping anybody from writing
    op.execute(
        "alter table consent_answer add constraint fk_consent_answer_recorded_by_id "
        "foreign key (recorded_by_id) references person (id) not valid"
    )
    op.execute("alter table consent_answer validate constraint fk_consent_answer_recorded_by_id")
    op.execute(
        "alter table consent_answer add constraint ck_consent_answer_recorded check "
        "((route in ('paper','phone','in_person')) = (recorded_by_id is not null)) not valid"
    )
    op.execute("alter table consent_answer validate constraint ck_consent_answer_recorded")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_consent_answer_recorded"), "consent_answer", type_="check")
    op.drop_column("consent_answer", "recorded_by_id")
