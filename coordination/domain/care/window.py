"""When a leader may open what a family has said of a child: around the session, and never else.

Pure decisions; must not know any table.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from coordination.ground.errors import Conflict, TooLate
from coordination.ground.text import Text

# the evening before: medicine is packed and seats on the coach are planned then
OPENS_BEFORE = timedelta(hours=12)
# late coaches, the last child that is collected, a call to a family about the evening's medicine
CLOSES_AFTER = timedelta(hours=6)
# of these nobody is out with children, or every child is home
OVER = frozenset({"cancelled", "closed_out"})


def opens_at(starts_at: datetime) -> datetime:
    """From when on a leader may look."""
    return starts_at - OPENS_BEFORE


def closes_at(return_at: datetime) -> datetime:
    """Until when."""
    return return_at + CLOSES_AFTER


def is_open(state: str, starts_at: datetime, return_at: datetime, now: datetime) -> bool:
    """Whether a leader may look now."""
    return state not in OVER and opens_at(starts_at) <= now < closes_at(return_at)


def refuse_closed(state: str, starts_at: datetime, return_at: datetime, now: datetime) -> None:
    """Refuse a look outside the window, and say when it is."""
    if state in OVER:
        raise TooLate(
            Text(
                "这次活动已取消或已结案，健康提示卡和代接信息已关闭。",
                "This activity is cancelled or closed; the children's cards are shut.",
            ),
            code="cards_over",
        )
    if now < opens_at(starts_at):
        hours = OPENS_BEFORE // timedelta(hours=1)
        raise Conflict(
            Text(
                f"还没到时间。健康提示卡和代接信息在活动开始前 {hours} 小时起对带队老师开放。",
                f"Not yet: the children's cards open to their leaders {hours} hours before the start.",
            ),
            code="cards_not_yet",
        )
    if now >= closes_at(return_at):
        hours = CLOSES_AFTER // timedelta(hours=1)
        raise TooLate(
            Text(
                f"活动已结束。健康提示卡和代接信息在返校 {hours} 小时后关闭，需要时请直接联系家长。",
                f"This is over: the children's cards shut {hours} hours after the return. Ask the "
                "family if you need to know.",
            ),
            code="cards_over",
        )
