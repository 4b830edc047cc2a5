"""What is noticed in a text to many families, and what is not."""

from __future__ import annotations

import pytest

from coordination.domain.communication.notices.content import WORDS, concerns

NAMES = ("王小雨", "欧阳珺", "高兴")


def kinds(said: str) -> list[str]:
    return [c.kind for c in concerns({"body_zh": said}, NAMES)]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("本次数学平均分 87。", "score"),
        ("三（2）班有 12 人满分。", "score"),
        ("李同学 95分，请继续努力。", "score"),
        ("期中成绩单已发，请签字。", "score"),
        ("Anna had 95 points.", "score"),
        ("年级排名见附件。", "rank"),
        ("第3名和第四名请周一来领奖状。", "rank"),
        ("前十名的同学名单如下。", "rank"),
        ("Our class ranked second.", "rank"),
        ("昨天有同学违纪，被点名批评。", "blame"),
        ("有的同学拖了全班后腿。", "blame"),
        ("请为我校投票，并转发朋友圈。", "canvassing"),
        ("暑期辅导班优惠报名中。", "trade"),
        ("请王小雨的家长到校。", "name"),
        ("王小雨 95分。", "name_and_more"),
        ("欧阳珺排名退步了", "name_and_more"),
        ("王小雨昨天表现最差！", "name_and_more"),
    ],
)
def test_what_gives_reason_to_think(said: str, kind: str) -> None:
    assert kinds(said) == [kind]


@pytest.mark.parametrize(
    "said",
    [
        "周五 8点30分 在南门集合，活动约 40分钟。",
        "请大家十分注意安全，分组行动。",
        "三分之一的家庭已经答复。",
        "请带水壶 2 个、雨衣 1 件。",
        "考试周为 1 月 11 日至 15 日，请按时到校。",
        "各位家长：\n周五开家长会，请准时到会。",
        "Please be at the south gate at 8.30 on Friday; we leave on time.",
        "The rest of the day is free.",
    ],
)
def test_what_a_teacher_writes_every_day_passes(said: str) -> None:
    assert kinds(said) == []


def test_each_sentence_is_named_once_with_where_it_stands() -> None:
    found = concerns(
        {"title_zh": "成绩单", "body_zh": "周五家长会。请王小雨带伞。欧阳珺第2名！", "body_en": ""},
        NAMES,
    )
    assert [(c.field, c.kind, c.stops) for c in found] == [
        ("title_zh", "score", False),
        ("body_zh", "name", False),
        ("body_zh", "name_and_more", True),
    ]
    assert "请王小雨带伞" in found[1].says.zh
    assert "欧阳珺第2名" in found[2].says.en  # what was typed is quoted as it is


def test_a_long_sentence_is_quoted_short_and_every_kind_has_words() -> None:
    (found,) = concerns({"body_zh": "排名" + "很" * 200}, ())
    assert len(found.excerpt) == 40
    assert found.kind in WORDS
