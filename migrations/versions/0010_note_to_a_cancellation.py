"""Why a session was cancelled: a code that can be said in both languages, and what was added to it.

A reason typed before stays as it is and is shown in its own words.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("cancel_note_zh", "cancel_note_en"):
        op.add_column("practice_session", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    for name in ("cancel_note_zh", "cancel_note_en"):
        op.drop_column("practice_session", name)
