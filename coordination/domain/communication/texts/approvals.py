"""What the provider of texts has approved: its id and state for each wording. Knows no wording.

An id belongs to the text that was handed in under it; `version` names that text.
"""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication.models import WordingApproval
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

STATES: dict[str, Text] = {
    "draft": Text("未报审", "Not handed in"),
    "submitted": Text("审核中", "Handed in"),
    "approved": Text("已通过", "Approved"),
    "rejected": Text("未通过", "Rejected"),
}
# the text has changed since its id was entered
CHANGED = "changed"
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def entered(session: Session) -> dict[tuple[str, str], WordingApproval]:
    """(message, language) -> what was entered."""
    return {(row.key, row.language): row for row in session.scalars(select(WordingApproval))}


def standing(row: WordingApproval | None, version: str) -> str:
    """The state of a wording that reads as `version` now; CHANGED if another text was approved."""
    if row is None:
        return "draft"
    if row.state in ("approved", "submitted") and row.version != version:
        return CHANGED
    return row.state


def enter(
    uow: UnitOfWork,
    *,
    org_id: int,
    key: str,
    language: str,
    version: str,
    template_id: str,
    state: str,
) -> None:
    """Note the provider's id and state for a wording that reads as `version` now."""
    uow.authorize(Action.WORDING_APPROVE, Scope(school=org_id))
    number = template_id.strip()
    row = uow.session.scalar(
        select(WordingApproval)
        .where(WordingApproval.key == key, WordingApproval.language == language)
        .with_for_update()
    )
    _refuse_poor_entry(uow.session, row, number, state)
    if row is None:
        row = WordingApproval(org_id=org_id, key=key, language=language, version=version)
        uow.session.add(row)
    elif number != row.template_id or state in ("draft", "submitted"):
        # what is handed in is handed in as it reads now; a verdict is on what was handed in
        row.version = version
    row.template_id, row.state = number, state


def _refuse_poor_entry(
    session: Session, row: WordingApproval | None, number: str, state: str
) -> None:
    fields: dict[str, Text] = {}
    if state not in STATES:
        fields["state"] = Text("请选择一项。", "Choose one.")
    if number and not _ID.fullmatch(number):
        fields["template_id"] = Text(
            "模板编号只有字母、数字、横线和下划线，例如 SMS_123456789。",
            "An id has letters, digits, dashes and underscores, for example SMS_123456789.",
        )
    elif not number and state == "approved":
        fields["template_id"] = Text(
            "已通过的模板要填写编号。", "An approved wording needs the provider's id."
        )
    elif number and session.scalar(
        select(WordingApproval.id).where(
            WordingApproval.template_id == number,
            WordingApproval.id != (row.id if row is not None else 0),
        )
    ):
        fields["template_id"] = Text(
            "这个编号已用于另一条文案，请核对。",
            "This id stands at another wording already; check it.",
        )
    if fields:
        raise Invalid(fields=fields)
