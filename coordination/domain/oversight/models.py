"""Tables of what guardians ask about their data, and of the proof that old data was erased."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Conflict
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class DataRequest(Row, Base):
    """个人信息申请: a guardian asks the school to correct or erase what is kept, of a child or of
    themselves, and the answer they got. No other guardian sees it.
    """

    __tablename__ = "data_request"
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    # null: about the guardian
    child_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), index=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    kind: Mapped[str]
    words: Mapped[str]
    due_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="open")
    answer: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    # an erasure that was agreed to is carried out when the child has left
    erased_at: Mapped[datetime | None]

    __scope__ = {"school": "school_id", "person": "guardian_id"}
    __table_args__ = (
        Index(
            "uq_data_request_open",
            "guardian_id",
            text("coalesce(child_id, 0)"),
            "kind",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_data_request_open", "school_id", postgresql_where=text("state = 'open'")),
        CheckConstraint("kind in ('correct','erase')", name="kind"),
        CheckConstraint("state in ('open','done','declined')", name="state"),
        CheckConstraint(
            "(state = 'open') = (answered_at is null) and (state = 'open') = (answer is null)",
            name="answered",
        ),
    )


class ErasureRun(Base):
    """删除记录: that data of one class was erased at one moment, and what was the oldest left."""

    __tablename__ = "erasure_run"
    data_class: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    # what was older than this went
    before: Mapped[datetime]
    erased: Mapped[int]
    oldest_left: Mapped[datetime | None]


explain(
    "uq_data_request_open",
    lambda: Conflict(
        Text(
            "您已经提出过同样的申请，学校还没有答复。可以在下面看到它。",
            "You have asked the same already, and the school has not answered yet. It stands below.",
        ),
        code="already_asked",
    ),
)
