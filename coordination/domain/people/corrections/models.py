"""The table of what guardians propose to put right."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class Correction(Row, Base):
    """更正申请: one field of a guardian or a child as it is and as it should be.

    Names stand in `value`. A phone or e-mail stands sealed in `sealed`, and as a mask in `shown`;
    both are forgotten once it is decided.
    """

    __tablename__ = "correction"
    # the child through whom the school knows the family, and whose school decides
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    # whose field it is: the guardian, or the child
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    proposed_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    field: Mapped[str]
    before: Mapped[str] = mapped_column(server_default="")
    shown: Mapped[str]
    value: Mapped[str | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="waiting")
    # of a phone: the code that went to it
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    code_until: Mapped[datetime | None]
    tries_left: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    said: Mapped[str | None]

    __scope__ = {"school": "school_id", "child": "child_id", "person": "proposed_by_id"}
    __table_args__ = (
        CheckConstraint("field in ('name','name_en','phone','email')", name="field"),
        CheckConstraint(
            "state in ('unproven','waiting','accepted','declined','withdrawn')", name="state"
        ),
        CheckConstraint("state <> 'unproven' or field = 'phone'", name="proof"),
        CheckConstraint("state <> 'declined' or said is not null", name="said"),
        Index(
            "uq_correction_open",
            "person_id",
            "field",
            unique=True,
            postgresql_where=text("state in ('unproven','waiting')"),
        ),
        Index(
            "ix_correction_waiting",
            "school_id",
            postgresql_where=text("state = 'waiting'"),
        ),
    )


explain(
    "uq_correction_open",
    lambda: Conflict(
        Text(
            "这一项已经提交过更正，学校还没有处理。要改内容，请先撤回。",
            "A correction of this is waiting at the school already; withdraw it to send another.",
        ),
        code="proposed_already",
    ),
)
