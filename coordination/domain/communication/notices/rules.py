"""What a notice may say, and when: pure decisions, each refusal with field, reason and remedy."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from coordination.domain.communication.notices.content import Concern
from coordination.ground.errors import Invalid, TooMany
from coordination.ground.text import Text

LONGEST_TITLE = 40
LONGEST_BODY = 2000
SHORTEST_REASON = 4
LONGEST_REASON = 120
NUDGE_GAP = timedelta(hours=1)
# hours without an answer before each next step
LADDERS = (4, 24, 48)
# further away is a slip of the year rather than a plan
LONGEST_AHEAD = timedelta(days=366)
# Fraudsters imitate class teachers to collect money, so no notice of ours ever speaks of payment.
BANNED = (
    *("缴费", "交费", "付款", "汇款", "转账", "红包", "支付宝", "验证码", "收款码", "付款码"),
    *("payment code", "bank transfer", "wechat pay", "alipay"),
)
LINK = re.compile(r"https?://|www\.|\b[a-z0-9-]+\.(?:com|cn|net|org)\b", re.IGNORECASE)


def refuse_poor_text(
    *, title_zh: str, title_en: str, body_zh: str, body_en: str, links_allowed: bool
) -> None:
    """Refuse empty, overlong, untranslated or dangerous text."""
    fields: dict[str, Text] = {}
    for name, value, longest in (
        ("title_zh", title_zh, LONGEST_TITLE),
        ("title_en", title_en, LONGEST_TITLE * 2),
        ("body_zh", body_zh, LONGEST_BODY),
        ("body_en", body_en, LONGEST_BODY * 2),
    ):
        if not value.strip():
            fields[name] = Text(
                "还没有填写；家长按各自的语言收到，两种语言都要有。",
                "Missing: families read in their own language, so both are needed.",
            )
        elif len(value) > longest:
            fields[name] = Text(
                f"超出 {len(value) - longest} 字，请删减。",
                f"{len(value) - longest} characters too many; shorten it.",
            )
        elif found := next((w for w in BANNED if w in value.casefold()), None):
            fields[name] = Text(
                f"不能出现“{found}”：通知里不谈付款和验证码，以防冒充。请删去。",
                f"Remove '{found}': notices never speak of payment or codes, as frauds do.",
            )
        elif name.startswith("title") and not links_allowed and LINK.search(value):
            fields[name] = Text(
                "标题会进入短信，短信线路不允许网址。请把网址移到正文。",
                "Links are blocked in text messages, and the title goes there; use the body.",
            )
    if fields:
        raise Invalid(fields=fields)


def refuse_concerns(found: Sequence[Concern], looked_at: Collection[str]) -> None:
    """Refuse what is never sent, and what the sender has not looked at."""
    stopped = {c.field: c.says for c in found if c.stops}
    unseen = [c for c in found if c.kind not in looked_at]
    if stopped:
        raise Invalid(fields=stopped)
    if unseen:
        raise Invalid(
            fields={
                "looked_at": Text(
                    "请逐条核对提示的句子，再勾选确认；或返回修改。",
                    "Look at each sentence shown, then tick the box; or go back and change it.",
                )
            },
            code="unseen_concerns",
        )


def refuse_poor_reason(reason: str) -> None:
    """A reason for not waiting is a sentence, not a mark."""
    told = reason.strip()
    if told and not SHORTEST_REASON <= len(told) <= LONGEST_REASON:
        raise Invalid(
            fields={
                "urgent_reason": Text(
                    f"请用 {SHORTEST_REASON} 到 {LONGEST_REASON} 个字说明为何不能等。",
                    f"Say in {SHORTEST_REASON} to {LONGEST_REASON} characters why it cannot wait.",
                )
            }
        )


def refuse_odd_ladder(hours: int | None) -> None:
    """The clock waits one of a few spans before each step."""
    if hours is not None and hours not in LADDERS:
        raise Invalid(
            fields={
                "ladder": Text("请选择列出的一种。", "Choose one of those listed."),
            }
        )


def refuse_odd_beginning(*, page_first: bool, hours: int | None, urgent_reason: str) -> None:
    """What begins on the platform is texted after a while to who has not looked; what is urgent
    cannot wait for that."""
    fields: dict[str, Text] = {}
    if page_first and urgent_reason.strip():
        fields["begins"] = Text(
            "紧急通知要马上发短信，不能先只在平台发布。请改选“直接发短信”，或清空“不能等的理由”。",
            "What is urgent must leave as a text at once. Choose 'By text', or clear the reason why "
            "it cannot wait.",
        )
    if page_first and hours is None:
        fields["ladder"] = Text(
            "请选择多久以后给还没回应的家庭发短信。",
            "Choose after how long families that have not answered get a text.",
        )
    if fields:
        raise Invalid(fields=fields)


def refuse_poor_times(
    *,
    send_at: datetime | None,
    due_at: datetime | None,
    now: datetime,
    alone: timedelta = timedelta(0),
) -> None:
    """Refuse to send in the past or in years, and to ask for answers before anybody has the text.

    `alone` is how long the notice stands on the platform without one.
    """
    fields: dict[str, Text] = {}
    if send_at is not None and send_at <= now:
        fields["send_on"] = Text(
            "所选的发送时间已过。请改为以后的时间；要马上发送，请清空日期和时间。",
            "This time to send has passed. Choose a later one, or clear date and time to send now.",
        )
    elif send_at is not None and send_at > now + LONGEST_AHEAD:
        fields["send_on"] = Text(
            "最多可提前一年定时，请核对年份。",
            "A notice can be planned at most a year ahead; check the year.",
        )
    if due_at is not None and due_at <= now:
        fields["due_on"] = Text(
            "截止时间已过，请选以后的时间。", "This is in the past; choose a later time."
        )
    elif due_at is not None and send_at is not None and due_at <= send_at:
        fields["due_on"] = Text(
            "通知发出时已过截止时间。请推后截止日期，或提前发送。",
            "The notice would leave after this; choose a later date, or send it earlier.",
        )
    elif due_at is not None and alone and due_at <= (send_at or now) + alone:
        fields["due_on"] = Text(
            "短信还没发就到截止时间了。请推后截止日期，或缩短等待时间。",
            "The texts would leave after this; choose a later date, or a shorter wait.",
        )
    if fields:
        raise Invalid(fields=fields)


def refuse_impatience(last_nudge: datetime | None, now: datetime) -> None:
    """Refuse a second nudge within the hour."""
    if last_nudge is not None and now - last_nudge < NUDGE_GAP:
        raise TooMany(
            Text(
                "一小时内已提醒过一次，请稍后再提醒。",
                "They were reminded within the last hour; please wait a little.",
            )
        )
