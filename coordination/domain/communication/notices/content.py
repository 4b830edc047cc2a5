"""What a text to many families had better not say: scores, ranks, names, blame, canvassing, trade.

Pure decisions over the words. A child's name beside a score, a rank or blame is never sent to other
families; everything else is shown to the sender, who may have a good reason and says that it was
looked at. Source: the rules of the Ministry of Education against publishing results and ranks, and
against advertising in schools.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from coordination.ground.text import Text

LONGEST_EXCERPT = 40

_SENTENCE = re.compile(r"[^。！？；\n.!?;]+(?:[。！？；\n]|[.!?;](?=\s|$)|$)")
_NUMBER = r"[\d０-９一二三四五六七八九十两]+"
_KINDS: dict[str, re.Pattern[str]] = {
    "score": re.compile(
        # 95分, but neither 30分钟 nor 8点30分, 十分 or 三分之一
        r"(?<![点时:：\d])\d{1,3}(?:\.\d)?\s*分(?![钟散之别享组类配工会])|满分|平均分|最高分|最低分"
        r"|及格率|优秀率|成绩单|成绩表|\b(?:scores?|marks|grades) (?:list|of|are|were)\b"
        r"|\b\d{1,3} (?:points|marks)\b|\btest results\b",
        re.IGNORECASE,
    ),
    "rank": re.compile(
        rf"排名|名次|倒数|末位|第\s*{_NUMBER}\s*名|前\s*{_NUMBER}\s*名|\brank(?:ed|ing|s)?\b"
        r"|\btop \d+\b|\bbottom \d+\b",
        re.IGNORECASE,
    ),
    "blame": re.compile(
        r"批评|违纪|表现(?:最|较|很)?差|拖(?:了)?(?:全班|班级)?后腿|屡教不改|差生|学困生"
        r"|\bmisbehav\w+|\bworst\b|\bweak students?\b",
        re.IGNORECASE,
    ),
    "canvassing": re.compile(
        r"投票|拉票|点赞|转发到?朋友圈|砍价|\bvote for\b|\blike and share\b", re.IGNORECASE
    ),
    "trade": re.compile(
        r"优惠|折扣|打折|团购|培训班|辅导班|补习|招生|加微信|扫码加|关注公众号"
        r"|\bdiscount\b|\bspecial offer\b|\btuition class",
        re.IGNORECASE,
    ),
}
_BESIDE_A_NAME = ("score", "rank", "blame")

WORDS: Mapping[str, Text] = {
    "score": Text("像是成绩或分数", "looks like results or marks"),
    "rank": Text("像是排名", "looks like a ranking"),
    "blame": Text("像是点名批评", "looks like blame"),
    "canvassing": Text("像是拉票或求转发", "looks like canvassing"),
    "trade": Text("像是广告或收费培训", "looks like advertising"),
    "name": Text(
        "出现学生姓名，其他家庭也会看到", "names a child, and other families will read it"
    ),
    "name_and_more": Text(
        "把学生姓名和成绩、排名或批评写在一起，不能群发；请删去，或单独联系这个家庭。",
        "puts a child's name beside results, a rank or blame, which is never sent to other families;"
        " remove it, or speak to that family alone.",
    ),
}


@dataclass(frozen=True, slots=True)
class Concern:
    """One sentence to think about; with `stops` it is not sent at all."""

    field: str
    kind: str
    excerpt: str

    @property
    def stops(self) -> bool:
        """Whether the sender may not overrule it."""
        return self.kind == "name_and_more"

    @property
    def says(self) -> Text:
        """The sentence, and what it looks like."""
        why = WORDS[self.kind]
        return Text(f"“{self.excerpt}”{why.zh}", f"'{self.excerpt}' {why.en}")


def concerns(fields: Mapping[str, str], names: Collection[str]) -> list[Concern]:
    """Every sentence of these fields that gives reason to think, one concern for each."""
    return [
        Concern(field, kind, _short(sentence))
        for field, value in fields.items()
        for sentence in _SENTENCE.findall(value)
        if (kind := _kind(sentence, names)) is not None
    ]


def _kind(sentence: str, names: Collection[str]) -> str | None:
    found = next((kind for kind, words in _KINDS.items() if words.search(sentence)), None)
    if any(name in sentence for name in names):
        return "name_and_more" if found in _BESIDE_A_NAME else "name"
    return found


def _short(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= LONGEST_EXCERPT else f"{line[: LONGEST_EXCERPT - 1]}…"
