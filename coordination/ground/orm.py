"""The one declarative base and the column habits of every table.

Must not know Flask: the Flask-SQLAlchemy handle lives in `web/db.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text, func
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

from coordination.ground import clock

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables. `__scope__` names the columns that authz rules look at."""

    # a registry of our own: Flask-SQLAlchemy copies this class and could not copy a bare type map
    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={
            int: BigInteger,
            str: Text,
            datetime: DateTime(timezone=True),
            Range[datetime]: TSTZRANGE,
        },
    )
    # scope word (school, class, child, owner, person) -> column name on this table
    __scope__: ClassVar[dict[str, str]] = {}


class Row:
    """Mixin: integer identity key and creation time."""

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    # by the product's clock; the server's own serves only rows that are written past the mapper
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=clock.now, server_default=func.now()
    )
