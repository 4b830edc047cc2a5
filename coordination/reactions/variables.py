"""What may stand in a text message: the type of each place, and what becomes of a value that does not fit.

Words that are too long are cut, and show it; a time, a number or a code that is none is refused before
anything is written. Links are left out where the route forbids them, and 【】 belong to the signature.
`messages/variables.toml` says which message has which places. Must not know who is told what.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from coordination.ground.text import Text
from notifications import templates
from notifications.errors import TemplateRefused

MESSAGES = Path(__file__).parent / "messages"
TABLE = "variables.toml"
# a gateway that takes no text takes no longer value, unless its account was given leave
GATEWAY_LONGEST = 35
# one web address, without what follows it in Chinese
LINK = re.compile(
    r"(?:https?://|www\.)[!-~]+|\b[a-z0-9-]+\.(?:com|cn|net|org)\b[!-~]*", re.IGNORECASE
)
_SIGNATURE_MARKS = str.maketrans("【】", "（）")
_CUT = {"zh": "…", "en": "..."}
_AND_MORE = {"zh": "等", "en": " and more"}
_BETWEEN = {"zh": "、", "en": ", "}
# what must not end a text that was cut: it would join to nothing
_JOINERS = "\u200d\ufe0e\ufe0f "


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of value: how long it may be in each language, and the shape without which it is none."""

    says: Text
    zh: int
    en: int
    shape: re.Pattern[str] | None = None
    # several, of which the last are left out
    several: bool = False

    def longest(self, language: str) -> int:
        """Characters that a value may have."""
        return self.zh if language == "zh" else self.en

    @property
    def rule(self) -> Text:
        """What becomes of a value that does not fit."""
        if self.shape is not None:
            return Text("不符合就不发送", "refused if it is none")
        if self.several:
            return Text("过长时省略后面的", "the last are left out if it is too long")
        return Text("过长时截短", "cut if it is too long")


TYPES: Mapping[str, Type] = {
    "name": Type(Text("名称", "name"), 40, 60),
    "names": Type(Text("姓名", "names"), 40, 80, several=True),
    "place": Type(Text("地点", "place"), 40, 80),
    "title": Type(Text("标题", "title"), 40, 80),
    "text": Type(Text("文字", "words"), 80, 160),
    "time": Type(Text("日期或时间", "date or time"), 35, 35, re.compile(r".*\d.*")),
    "number": Type(Text("数字", "number"), 6, 6, re.compile(r"[0-9]{1,6}")),
    "code": Type(Text("短码", "code"), 12, 12, re.compile(r"[0-9A-Z][0-9A-Z-]{3,11}")),
}

# what these places usually hold: for the page of wordings, and to count segments
SAMPLES: Mapping[str, Text] = {
    "activity": Text("茶园采摘实践", "Tea picking"),
    "adults": Text("3", "3"),
    "answer": Text("同意", "Agreed"),
    "back": Text("16:30", "16:30"),
    "bring": Text("水杯、帽子、雨衣", "water, hat, raincoat"),
    "calendar": Text("茶园预约表", "Tea garden bookings"),
    "children": Text("王*雨", "W** Yu"),
    "class": Text("三年级2班", "Year 3 Class 2"),
    "code": Text("482913", "482913"),
    "count": Text("3", "3"),
    "due": Text("12月3日（周四）20:00", "Thu 3 Dec, 20:00"),
    "meet": Text("学校东门", "the east gate"),
    "needs": Text("过敏1人", "1 allergy"),
    "outcome": Text("已采纳", "accepted"),
    "people": Text("42", "42"),
    "reason": Text("暴雨预警", "storm warning"),
    "resource": Text("社区茶园", "Tea garden"),
    "role": Text("安全员", "safety"),
    "route": Text("纸质回执", "Paper slip"),
    "school": Text("光明小学", "Guangming School"),
    "sender": Text("光明小学三年级2班", "Guangming School, Year 3 Class 2"),
    "since": Text("11月26日（周四）08:00", "Thu 26 Nov, 08:00"),
    "text": Text("请三点前到阶梯教室", "Please be in the hall before three"),
    "title": Text("周五家长会改到下午三点", "Parents' meeting moves to 3 pm"),
    "writer": Text("陈老师", "Chen Min"),
    "what": Text("手机号", "mobile number"),
    "when": Text("12月5日（周六）09:00", "Sat 5 Dec, 09:00"),
}


@cache
def declared(folder: Path = MESSAGES) -> Mapping[str, Mapping[str, str]]:
    """Message -> place -> name of its type, as the table says."""
    table = tomllib.loads((folder / TABLE).read_text(encoding="utf-8"))
    return {key: {str(k): str(v) for k, v in places.items()} for key, places in table.items()}


def fit(kind: Type, value: str, language: str, *, links_allowed: bool) -> str:
    """The value as it may stand in a message; TemplateRefused if it has not the shape of its type."""
    said = templates.clean(value)
    longest = kind.longest(language)
    if kind.shape is not None:
        # the value is not repeated: it may be somebody's code
        if len(said) > longest or not kind.shape.fullmatch(said):
            raise TemplateRefused(f"a value that is no {kind.says.en} of {longest} characters")
        return said
    said = said.translate(_SIGNATURE_MARKS)
    if not links_allowed and "." in said:
        said = LINK.sub(_CUT[language], said)
    return said if len(said) <= longest else _cut(kind, said, language, longest)


def for_gateway(kind: Type, fitted: str, language: str) -> str:
    """The same value as a gateway takes it that knows templates only."""
    if kind.shape is not None or len(fitted) <= GATEWAY_LONGEST:
        return fitted
    return _cut(kind, fitted, language, GATEWAY_LONGEST)


def _cut(kind: Type, said: str, language: str, longest: int) -> str:
    if kind.several:
        between, more = _BETWEEN[language], _AND_MORE[language]
        names = said.removesuffix(more).split(between)
        while len(names) > 1:
            names.pop()
            short = between.join(names) + more
            if len(short) <= longest:
                return short
        said = names[0]
    end = _CUT[language]
    return said[: longest - len(end)].rstrip(_JOINERS) + end
