"""What a page or a phone sends of a head-count, as values: shape only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from werkzeug.datastructures import MultiDict
from wtforms import RadioField

from coordination.domain.practice.headcount.closing import Gone
from coordination.domain.practice.headcount.counting import Tap
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.web.forms import Form, LineField, both

# a batch of more is no phone of ours; the rule itself stands in the domain
_UNREADABLE = Text(
    "手机传来的内容无法识别，请刷新页面后重试。",
    "What the phone sent could not be read; reload the page and try again.",
)


class LeftForm(Form):
    """Why a child is not with its class."""

    reason = RadioField(both("原因", "Reason"))
    note = LineField(both("说明（由谁接走、去了哪里）", "With whom, or where"))


def ticked(form: MultiDict[str, str], stage: str) -> list[Tap]:
    """The ticks of a plain form: those set since it was shown, and those taken away.

    What others marked meanwhile was not shown, so leaving it unticked takes nothing away. The form
    carries an id, from which each mark's own follows: sent twice it counts once.
    """
    batch = _uuid(form.get("batch", ""))
    here, shown = _ids(form, "here"), _ids(form, "shown")
    wanted = [(i, "here") for i in sorted(here - shown)]
    wanted += [(i, "away") for i in sorted(shown - here)]
    return [Tap(uuid5(batch, f"{i}-{stage}-{mark}"), i, stage, mark) for i, mark in wanted]


def _ids(form: MultiDict[str, str], name: str) -> set[int]:
    return set(form.getlist(name, type=int))


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise Invalid(_UNREADABLE) from None


def gone_of(form: MultiDict[str, str]) -> dict[int, Gone]:
    """The reasons chosen for children who are missing, by enrolment."""
    gone = {}
    for name in form:
        key = name.removeprefix("gone-")
        if key != name and key.isdecimal() and len(key) < 19 and form[name]:
            gone[int(key)] = Gone(form[name], form.get(f"note-{key}", ""))
    return gone


def sent(body: Any) -> tuple[list[Tap], datetime]:
    """The taps that a phone sends, and what its clock says now."""
    if not isinstance(body, Mapping) or not isinstance(body.get("taps"), list):
        raise Invalid(_UNREADABLE)
    return [_tap(one) for one in body["taps"]], _moment(body.get("now"))


def _tap(one: Any) -> Tap:
    if not isinstance(one, Mapping):
        raise Invalid(_UNREADABLE)
    child = one.get("child")
    if type(child) is not int or not 0 < child < 2**63:
        raise Invalid(_UNREADABLE)
    return Tap(
        scan_id=_uuid(one.get("id")),
        enrolment_id=child,
        stage=str(one.get("stage")),
        mark=str(one.get("mark")),
        at=_moment(one.get("at")),
    )


def _moment(value: Any) -> datetime:
    """Milliseconds since 1970, as browsers count; a clock may be wrong, but not by millennia."""
    if type(value) not in (int, float) or not 0 < value < 4e12:
        raise Invalid(_UNREADABLE)
    return datetime.fromtimestamp(value / 1000, UTC)
