"""Tables of consent requests and answers. Answers are append-only; the state is derived."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.orm import Base, Row


class ConsentRequest(Row, Base):
    """知情同意书: what is asked, in which wording, until when. A new version asks again."""

    __tablename__ = "consent_request"
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    version: Mapped[int] = mapped_column(server_default="1")
    title_zh: Mapped[str]
    title_en: Mapped[str]
    body_zh: Mapped[str]
    body_en: Mapped[str]
    text_hash: Mapped[str]
    due_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="open")

    __table_args__ = (
        Index(
            "uq_consent_request_version",
            "subject_type",
            "subject_id",
            "version",
            unique=True,
        ),
        CheckConstraint("state in ('open','closed','replaced')", name="state"),
    )


class ConsentAsk(Row, Base):
    """征询: one child of whom consent is asked, with the school that asks."""

    __tablename__ = "consent_ask"
    request_id: Mapped[int] = mapped_column(ForeignKey("consent_request.id"), index=True)
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    class_id: Mapped[int] = mapped_column(ForeignKey("class_group.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))

    __scope__ = {"child": "child_id", "class": "class_id", "school": "school_id"}
    __table_args__ = (Index("uq_consent_ask", "request_id", "child_id", unique=True),)


class ConsentAnswer(Row, Base):
    """同意记录: one answer of one guardian for one child; never changed, never removed.

    `recorded_by_id` is who wrote down an answer that came on paper or by word of mouth.
    """

    __tablename__ = "consent_answer"
    request_id: Mapped[int] = mapped_column(ForeignKey("consent_request.id"), index=True)
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    response: Mapped[str]
    route: Mapped[str]
    language: Mapped[str]
    text_hash: Mapped[str]
    signed_name: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    at: Mapped[datetime]

    __scope__ = {"child": "child_id", "person": "guardian_id"}
    __table_args__ = (
        CheckConstraint("response in ('given','refused','withdrawn')", name="response"),
        CheckConstraint("route in ('code','web','paper','phone','in_person')", name="route"),
        CheckConstraint(
            "(route in ('paper','phone','in_person')) = (recorded_by_id is not null)",
            name="recorded",
        ),
    )
