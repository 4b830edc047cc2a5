"""Tables of community partners and practice bases."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.orm import Base, Row


class PartnerProfile(Row, Base):
    """资源单位档案: what kind of body a partner is and whether it is listed."""

    __tablename__ = "partner_profile"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), unique=True)
    sector: Mapped[str]
    is_practice_base: Mapped[bool] = mapped_column(server_default=text("false"))
    public_welfare: Mapped[bool] = mapped_column(server_default=text("true"))
    state: Mapped[str] = mapped_column(server_default="listed")
    intro_zh: Mapped[str] = mapped_column(server_default="")
    intro_en: Mapped[str] = mapped_column(server_default="")

    __scope__ = {"owner": "org_id"}
    __table_args__ = (
        CheckConstraint(
            "state in ('applied','reviewing','visit','trial','listed','suspended','exited')",
            name="state",
        ),
    )


class PartnerDocument(Row, Base):
    """资质文件: a licence, insurance or certificate with its expiry."""

    __tablename__ = "partner_document"
    org_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    kind: Mapped[str]
    number: Mapped[str]
    expires_on: Mapped[date | None]

    __scope__ = {"owner": "org_id"}
