"""What a voice says in a call: the wording, and values as they can be said and understood by ear.

Wording stands in `spoken/<key>/<lang>.txt`. It names no child, and nothing that has to be read: no
code, no link. Must not know who is called, nor by whom.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from coordination.ground.text import Language, Text
from notifications import templates

SPOKEN = Path(__file__).parent / "spoken"

_CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b")
# whole, with all the names before the last two
_SITE = re.compile(
    r"(?:https?://|www\.)[!-~]+|\b(?:[a-z0-9-]+\.)+(?:com|cn|net|org)\b[!-~]*", re.IGNORECASE
)
# the number of a class: 三（2）班
_NUMBERED = re.compile(r"[（(]\s*(\d{1,2})\s*[）)]")
_TIME = re.compile(r"(?<!\d)([01]?\d|2[0-3])\s*[:：]\s*([0-5]\d)(?!\d)")
_RANGE = re.compile(r"(?<=[\d点分整mM])\s*[-–—~～]\s*(?=\d)")
# digits in such a row are a number to dial, not to count with
_ROW = re.compile(r"\d{5,}")
_BRACKETS = re.compile(r"\s*[（）()【】\[\]《》〈〉{}「」『』]\s*")
_MUTE = re.compile(r"[#*_/\\|^=+<>~@•·→]+")
_PAUSE = {"zh": "，", "en": ", "}


def wording(key: str, language: str) -> str:
    """The words of a call, with their places."""
    return _read(key, "zh" if language == "zh" else "en")


@cache
def _read(key: str, language: str) -> str:
    return (SPOKEN / key / f"{language}.txt").read_text(encoding="utf-8").strip()


def render(key: str, language: str, values: Mapping[str, Text]) -> str:
    """What is said to one listener."""
    tongue: Language = "zh" if language == "zh" else "en"
    said = {name: sayable(value.in_(tongue), tongue) for name, value in values.items()}
    text = wording(key, tongue)
    return templates.render(text, said, templates.placeholders(text))


def sayable(written: str, language: Language) -> str:
    """Words as a voice says them well: times in words, brackets as pauses, long numbers digit by digit,
    and nothing that only eyes can use."""
    said = _CODE.sub("", _SITE.sub("", templates.clean(written)))
    said = _NUMBERED.sub(r"\1", said)
    said = _TIME.sub(_zh_time if language == "zh" else _en_time, said)
    said = _RANGE.sub("到" if language == "zh" else " to ", said)
    said = _ROW.sub(lambda found: " ".join(found[0]), said)
    said = said.replace("&", "和" if language == "zh" else " and ")
    said = said.replace("℃", "度" if language == "zh" else " degrees")
    said = _MUTE.sub(" ", _BRACKETS.sub(_PAUSE[language], said))
    # a pause beside another mark is no pause
    said = re.sub(r"\s+(?=[，。：；！？,.:;!?])", "", said)
    said = re.sub(r"[，,]\s*(?=[，。：；！？,.:;!?])|(?<=[。！？.!?])\s*[，,]+", "", said)
    return re.sub(r"\s+", " ", said).strip(" ，,。.")


# a minute of listening, and no more than Twilio takes twice with a call
LONGEST = {"zh": 260, "en": 700}
REST = {
    "zh": "后面的内容请看通知，或者问班主任",
    "en": "For the rest see the notice, or ask the class teacher",
}
_ENDS = re.compile(r"[。！？；]|[.!?;](?=\s)")


def listenable(written: str, language: Language) -> str:
    """Some sentences as they can be said; of too many the first, and where the rest stands."""
    said = sayable(written, language)
    longest = LONGEST[language]
    if len(said) <= longest:
        return said or REST[language]
    ends = [found.end() for found in _ENDS.finditer(said[:longest])]
    kept = said[: ends[-1]] if ends else said[:longest].rstrip(" ，,") + _PAUSE[language]
    return f"{kept}{'' if language == 'zh' else ' '}{REST[language]}"


def _zh_time(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    if minute == 0:
        return f"{hour}点整"
    return f"{hour}点{'零' if minute < 10 else ''}{minute}分"


def _en_time(found: re.Match[str]) -> str:
    hour, minute = int(found[1]), int(found[2])
    shown = f"{(hour - 1) % 12 + 1}" + (f":{minute:02d}" if minute else "")
    return f"{shown} {'am' if hour < 12 else 'pm'}"
