"""What a leader must know of a child on the day: health card, who may collect, and who has looked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def _row() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    ]


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}_{target}")
    )


def upgrade() -> None:
    op.create_table(
        "card_consent",
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("guardian_id", sa.BigInteger(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_row(),
        sa.CheckConstraint(
            "response in ('given','withdrawn')", name=op.f("ck_card_consent_response")
        ),
        _to("card_consent", "child_id", "person"),
        _to("card_consent", "guardian_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_consent")),
    )
    op.create_index(op.f("ix_card_consent_child_id"), "card_consent", ["child_id"])
    op.create_table(
        "health_card",
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("school_id", sa.BigInteger(), nullable=False),
        sa.Column("consent_id", sa.BigInteger(), nullable=False),
        sa.Column("body_enc", sa.LargeBinary(), nullable=False),
        sa.Column("other_phone_enc", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("written_by_id", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        *_row(),
        _to("health_card", "child_id", "person"),
        _to("health_card", "school_id", "organisation"),
        _to("health_card", "consent_id", "card_consent"),
        _to("health_card", "written_by_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_card")),
        sa.UniqueConstraint("child_id", name=op.f("uq_health_card_child_id")),
    )
    op.create_table(
        "pickup_permit",
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("given_by_id", sa.BigInteger(), nullable=False),
        sa.Column("body_enc", sa.LargeBinary(), nullable=False),
        sa.Column("phone_enc", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        *_row(),
        sa.CheckConstraint(
            "ends_on >= starts_on and ends_on - starts_on <= 366",
            name=op.f("ck_pickup_permit_span"),
        ),
        _to("pickup_permit", "child_id", "person"),
        _to("pickup_permit", "given_by_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickup_permit")),
    )
    op.create_index(op.f("ix_pickup_permit_child_id"), "pickup_permit", ["child_id"])
    op.create_index(
        "uq_pickup_permit_phone", "pickup_permit", ["child_id", "phone_index"], unique=True
    )
    op.create_table(
        "card_look",
        sa.Column("child_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *_row(),
        sa.CheckConstraint("kind in ('card','pickup','sheet')", name=op.f("ck_card_look_kind")),
        _to("card_look", "child_id", "person"),
        _to("card_look", "session_id", "practice_session"),
        _to("card_look", "person_id", "person"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_look")),
    )
    op.create_index(op.f("ix_card_look_child_id"), "card_look", ["child_id"])
    op.create_index(op.f("ix_card_look_session_id"), "card_look", ["session_id"])


def downgrade() -> None:
    op.drop_table("card_look")
    op.drop_table("pickup_permit")
    op.drop_table("health_card")
    op.drop_table("card_consent")
