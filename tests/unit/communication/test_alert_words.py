"""Every sentence that can be put together fits a text, in both languages, with nothing left open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from coordination.domain.communication.notices import alerts
from coordination.domain.communication.notices.content import concerns
from coordination.domain.communication.notices.rules import refuse_poor_text
from coordination.ground.errors import Invalid
from coordination.ground.text import Text

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
EVERY = [
    alerts.Alert(kind, fact, why, act, NOW + timedelta(hours=1))
    for kind in alerts.KINDS
    for fact, why, act in product(alerts.FACTS[kind], alerts.WHY, alerts.ACTS)
]


@pytest.mark.parametrize("alert", EVERY, ids=lambda a: f"{a.kind}-{a.fact}-{a.why}-{a.act}")
def test_every_sentence_fits_and_may_be_said(alert: alerts.Alert) -> None:
    title = alerts.title_of(alert, "17:40")
    body = alerts.body_of(alert, title)
    assert len(title.zh) <= alerts.LONGEST_ZH
    assert len(title.en) <= alerts.LONGEST_EN
    assert "{" not in title.zh + title.en
    refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=False,
    )
    said = {"title_zh": title.zh, "title_en": title.en, "body_zh": body.zh, "body_en": body.en}
    assert concerns(said, []) == []


def test_a_delay_says_its_time() -> None:
    title = alerts.title_of(alerts.Alert("delayed", "return", "traffic", "news", NOW), "17:40")
    assert title == Text(
        "校外活动推迟到17:40返校（交通受阻），请留意下一条通知",
        "The outing is back at 17:40 (traffic): wait for our next notice",
    )


@pytest.mark.parametrize(
    ("alert", "field"),
    [
        (alerts.Alert("cancelled", "return", "rain", "home"), "fact"),
        (alerts.Alert("party", "today", "rain", "home"), "fact"),
        (alerts.Alert("cancelled", "today", "", "home"), "why"),
        (alerts.Alert("cancelled", "today", "rain", "dance"), "act"),
        (alerts.Alert("delayed", "late", "rain", "home"), "at"),
        (alerts.Alert("delayed", "late", "rain", "home", NOW), "at"),
        (alerts.Alert("cancelled", "today", "rain", "home", None, Text("带伞", "")), "extra_en"),
        (alerts.Alert("cancelled", "today", "rain", "home", None, Text("", "x")), "extra_zh"),
        (
            alerts.Alert("cancelled", "today", "rain", "home", None, Text("雨" * 201, "rain")),
            "extra_zh",
        ),
    ],
)
def test_what_is_not_on_the_lists_is_refused_at_its_field(alert: alerts.Alert, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        alerts.refuse_poor_alert(alert, NOW)
    assert set(refused.value.fields) == {field}
