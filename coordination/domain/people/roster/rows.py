"""Rows that several readers make alike: contact points with their refusals, and set sentences."""

from __future__ import annotations

from collections.abc import Iterator

from coordination.domain.people.contacts import sealed
from coordination.domain.people.roster import normal
from coordination.domain.people.roster.values import Place, Row, Staged, refusal
from coordination.ground.text import Text, half_width

NO_ID = Text("编号不能为空。", "An identifier is missing.")
NO_NAME = Text("名称不能为空。", "A name is missing.")


def long_name(place: Place) -> Row:
    """A name beyond all bounds: probably two columns run together."""
    return refusal(
        place,
        "too_long",
        Text(
            f"姓名超过 {normal.LONGEST_NAME} 个字，请检查是否串列。",
            f"The name has more than {normal.LONGEST_NAME} characters; are two columns mixed up?",
        ),
    )


def contacts(place: Place, person: str, phone: str, email: str = "") -> Iterator[Row]:
    """The contact points of a person, encrypted at once; a number that is none is refused alone."""
    if phone:
        good, bad = normal.phones(phone)
        for order, number in enumerate(good):
            value, index, mask = sealed("phone", number)
            yield (
                Staged.CONTACT,
                (place.file, place.line, person, "phone", value, index, mask, order),
            )
        for typed in bad:
            yield refusal(
                place,
                "phone",
                Text(
                    f"“{_hint(typed)}”不是有效的手机号，未采用；这一行的其他内容照常导入。",
                    f"“{_hint(typed)}” is not a valid mobile number and was left out;"
                    " the rest of the row is taken.",
                ),
            )
    if email:
        address = half_width(email).casefold()
        local, at, domain = address.partition("@")
        if local and at and "." in domain and " " not in address and len(address) <= 254:
            value, index, mask = sealed("email", address)
            yield (
                Staged.CONTACT,
                (place.file, place.line, person, "email", value, index, mask, 0),
            )
        else:
            yield refusal(
                Place(place.file, place.line, "email"),
                "email",
                Text(
                    "邮箱地址无效，未采用；这一行的其他内容照常导入。",
                    "The e-mail address is not valid and was left out; the rest is taken.",
                ),
            )


def _hint(typed: str) -> str:
    # enough to find the cell; a whole number does not belong into a list that is kept
    return typed if len(typed) < 5 else f"{typed[:3]}…{typed[-2:]}"
