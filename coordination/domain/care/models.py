"""Tables of what a leader must know of a child on the day. What it says is sealed in every row."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.constraints import explain
from coordination.ground.errors import Stale
from coordination.ground.orm import Base, Row
from coordination.ground.text import Text


class CardConsent(Row, Base):
    """健康信息单独同意: a guardian agreed that a card is kept, or withdrew; never changed or removed.

    `text_hash` is of the wording that was shown. What the card said is not here.
    """

    __tablename__ = "card_consent"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    guardian_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    response: Mapped[str]
    text_hash: Mapped[str]
    language: Mapped[str]
    at: Mapped[datetime]

    __scope__ = {"child": "child_id", "person": "guardian_id"}
    __table_args__ = (CheckConstraint("response in ('given','withdrawn')", name="response"),)


class HealthCard(Row, Base):
    """健康提示卡: what a family says of a child; none without the consent it stands on.

    `version` goes up with every change, so that two guardians do not write over one another.
    """

    __tablename__ = "health_card"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), unique=True)
    # the school it was given to: a card does not move to another with the child
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    consent_id: Mapped[int] = mapped_column(ForeignKey("card_consent.id"))
    body_enc: Mapped[bytes] = mapped_column(LargeBinary)
    # of the one more person to phone
    other_phone_enc: Mapped[bytes | None] = mapped_column(LargeBinary)
    version: Mapped[int]
    written_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    written_at: Mapped[datetime]
    confirmed_at: Mapped[datetime]

    __scope__ = {"child": "child_id", "school": "school_id"}


class PickupPermit(Row, Base):
    """代接授权: somebody who may collect a child, from a day until a day. It ends with its row."""

    __tablename__ = "pickup_permit"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    given_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    body_enc: Mapped[bytes] = mapped_column(LargeBinary)
    phone_enc: Mapped[bytes] = mapped_column(LargeBinary)
    # to know again a number that must not be among them
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    starts_on: Mapped[date]
    ends_on: Mapped[date]

    __scope__ = {"child": "child_id"}
    __table_args__ = (
        CheckConstraint("ends_on >= starts_on and ends_on - starts_on <= 366", name="span"),
        Index("uq_pickup_permit_phone", "child_id", "phone_index", unique=True),
    )


class CardLook(Row, Base):
    """查阅记录: who looked at what of a child, when, for which session. Written before it is shown."""

    __tablename__ = "card_look"
    child_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("practice_session.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[str]
    at: Mapped[datetime]

    __scope__ = {"child": "child_id", "person": "person_id"}
    __table_args__ = (CheckConstraint("kind in ('card','pickup','sheet')", name="kind"),)


explain(
    "uq_pickup_permit_phone",
    lambda: Stale(
        Text(
            "刚刚已经登记了同一个手机号，请看下面的名单。",
            "The same number has just been added; see the list below.",
        )
    ),
)
explain(
    "uq_health_card_child_id",
    lambda: Stale(
        Text(
            "另一位监护人刚刚保存了这张卡，请刷新后再试。",
            "Another guardian has just saved this card; reload and try again.",
        )
    ),
)
