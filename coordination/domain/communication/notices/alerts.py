"""紧急通知: three fixed sentences, put together from lists in both languages, so that nobody has to write.

What such a notice says fits into a text whole. It needs a confirmation, waits for nothing, leaves by
text and mail at once, and whoever has not confirmed is on the call list from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import services
from coordination.domain.communication.notices.reach import WIDE
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation
from coordination.domain.people.recipients import member_on
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

CANCELLED, DELAYED, EMERGENCY = "cancelled", "delayed", "emergency"
KINDS: Mapping[str, Text] = {
    CANCELLED: Text("停课、取消", "Closed or cancelled"),
    DELAYED: Text("推迟、改时间", "Delayed, or at another time"),
    EMERGENCY: Text("突发情况", "Emergency"),
}
# what it is about, by kind; {at} is the new time of day
FACTS: Mapping[str, Mapping[str, Text]] = {
    CANCELLED: {
        "today": Text("今天停课", "School is closed today"),
        "afternoon": Text("今天下午停课", "No classes this afternoon"),
        "tomorrow": Text("明天停课", "School is closed tomorrow"),
        "care": Text("今天没有课后服务", "No after-school care today"),
        "outing": Text("今天的校外活动取消", "Today's outing is off"),
        "bus": Text("今天校车停开", "No school bus today"),
    },
    DELAYED: {
        "start": Text("今天{at}上学", "School starts at {at} today"),
        "early": Text("今天提前到{at}放学", "School ends early, at {at}"),
        "late": Text("今天推迟到{at}放学", "School ends late, at {at}"),
        "leaving": Text("校外活动推迟到{at}出发", "The outing leaves at {at}"),
        "return": Text("校外活动推迟到{at}返校", "The outing is back at {at}"),
        "bus": Text("校车推迟到{at}", "The school bus comes at {at}"),
    },
    EMERGENCY: {
        "school": Text("学校有突发情况", "Emergency at school"),
        "outing": Text("校外活动有突发情况", "Emergency at the outing"),
        "near": Text("学校附近有突发情况", "Emergency near school"),
        "road": Text("上下学路上有突发情况", "Emergency on the way to school"),
    },
}
WHY: Mapping[str, Text] = {
    "rain": Text("暴雨", "heavy rain"),
    "typhoon": Text("台风", "typhoon"),
    "snow": Text("雪天路滑", "snow and ice"),
    "heat": Text("高温", "heat"),
    "air": Text("空气重污染", "bad air"),
    "power": Text("停电", "power cut"),
    "water": Text("停水", "water cut"),
    "traffic": Text("交通受阻", "traffic"),
    "illness": Text("疾病防控", "illness"),
    "safety": Text("安全原因", "safety"),
}
ACTS: Mapping[str, Text] = {
    "collect": Text("请到校门口接孩子", "collect your child at the gate"),
    "home": Text("请让孩子留在家里", "keep your child at home"),
    "stay": Text("孩子有老师照看，请勿来校", "children are safe; do not come"),
    "news": Text("请留意下一条通知", "wait for our next notice"),
}
# what a text carries whole, also through a gateway of templates
LONGEST_ZH, LONGEST_EN = 35, 80
LONGEST_EXTRA = 200
NOTHING = Text("", "")


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody chose: keys of the lists above, the new time of a delay, and words of their own
    in both languages, which stand on the page and in the mail but not in the text."""

    kind: str
    fact: str
    why: str
    act: str
    at: datetime | None = None
    extra: Text = NOTHING


def title_of(alert: Alert, clock_time: str) -> Text:
    """The one sentence of the alert; `clock_time` is its new time of day as people read it."""
    fact, why, act = FACTS[alert.kind][alert.fact], WHY[alert.why], ACTS[alert.act]
    return Text(
        f"{fact.zh.format(at=clock_time)}（{why.zh}），{act.zh}",
        f"{fact.en.format(at=clock_time)} ({why.en}): {act.en}",
    )


def body_of(alert: Alert, title: Text) -> Text:
    """What stands on the page: the sentence, and the words added to it."""
    return Text(
        "\n".join(part for part in (f"{title.zh}。", alert.extra.zh.strip()) if part),
        "\n".join(part for part in (f"{title.en}.", alert.extra.en.strip()) if part),
    )


def refuse_poor_alert(alert: Alert, now: datetime) -> None:
    """Refuse what is not on the lists, a delay without a time to come, and words in one language."""
    fields: dict[str, Text] = {}
    choose = Text("请选择列出的一项。", "Choose one of those listed.")
    if alert.fact not in FACTS.get(alert.kind, {}):
        fields["fact"] = choose
    if alert.why not in WHY:
        fields["why"] = choose
    if alert.act not in ACTS:
        fields["act"] = choose
    if alert.kind == DELAYED and alert.at is None:
        fields["at"] = Text("请填写新的时间。", "Enter the new time.")
    elif alert.kind == DELAYED and alert.at is not None and alert.at <= now:
        fields["at"] = Text(
            "这个时间今天已经过了，请填写以后的时间。",
            "This time has passed today; enter a later one.",
        )
    for name, mine, other in (
        ("extra_zh", alert.extra.zh, alert.extra.en),
        ("extra_en", alert.extra.en, alert.extra.zh),
    ):
        if other.strip() and not mine.strip():
            fields[name] = Text(
                "补充的话两种语言都要有；来不及就都留空。",
                "What you add is needed in both languages; leave both empty if there is no time.",
            )
        elif len(mine) > LONGEST_EXTRA:
            fields[name] = Text(
                f"超出 {len(mine) - LONGEST_EXTRA} 字，请删减。",
                f"{len(mine) - LONGEST_EXTRA} characters too many; shorten it.",
            )
    if fields:
        raise Invalid(fields=fields)


def send_alert(
    uow: UnitOfWork,
    *,
    draft_key: str,
    alert: Alert,
    clock_time: str = "",
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    looked_at: Collection[str] = (),
    links_allowed: bool = False,
) -> Notice:
    """Send it as a notice that must be confirmed and cannot wait. A second call with the same
    `draft_key` sends nothing."""
    refuse_poor_alert(alert, uow.now)
    title = title_of(alert, clock_time)
    return services.send_notice(
        uow,
        draft_key=draft_key,
        class_ids=class_ids,
        org_id=org_id,
        title=title,
        body=body_of(alert, title),
        level="confirm",
        urgent_reason=f"{KINDS[alert.kind].zh}：{WHY[alert.why].zh}",
        looked_at=looked_at,
        links_allowed=links_allowed,
        alert=alert.kind,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """How many children of a class, or of a school, have somebody at home who has confirmed."""

    id: int
    name: Text
    known: int
    children: int


def confirmed_by_place(session: Session, notice: Notice, today: date) -> list[Place]:
    """The count of a notice by class, or by school where it went to a whole district; those who lack
    most first. One statement however many children."""
    row = NoticeRecipient
    child = (
        select(
            func.unnest(row.child_ids).label("child_id"),
            func.coalesce(row.confirmed_at, row.reached_at).label("at"),
        )
        .where(row.notice_id == notice.id)
        .subquery("child")
    )
    known = (
        select(child.c.child_id, (func.count(child.c.at) > 0).label("known"))
        .group_by(child.c.child_id)
        .subquery("known")
    )
    place: type[Organisation] | type[ClassGroup] = (
        Organisation if notice.reach == "district" else ClassGroup
    )
    total = func.count(known.c.child_id.distinct())
    done = func.count(known.c.child_id.distinct()).filter(known.c.known)
    query = (
        select(place.id, place.name_zh, place.name_en, done, total)
        .select_from(known)
        .join(ClassMember, ClassMember.person_id == known.c.child_id)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(member_on(today), ClassGroup.active.is_(True))
        .group_by(place.id, place.name_zh, place.name_en)
        .order_by((total - done).desc(), place.id)
    )
    if place is Organisation:
        query = query.join(Organisation, Organisation.id == ClassGroup.school_id)
    elif notice.reach in WIDE:
        query = query.where(ClassGroup.school_id == notice.school_id)
    else:
        query = query.where(ClassGroup.id.in_(notice.class_ids))
    return [
        Place(number, Text(zh, en), some, all_of_them)
        for number, zh, en, some, all_of_them in session.execute(query)
    ]
