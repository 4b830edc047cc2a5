"""Looks at wordings as they are written: each fault with its file, its line and what to do about it.

`coordination doctor` and the tests run it; what it lets pass, a phone shows well and a gateway in
mainland China takes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coordination.domain.communication.notices.rules import BANNED
from coordination.ground.text import LANGUAGES
from coordination.reactions import catalogue
from coordination.reactions.notices import Route
from coordination.reactions.variables import LINK, MESSAGES, SAMPLES, TABLE, TYPES
from notifications import templates
from notifications.errors import TemplateRefused
from notifications.segments import segments

# for the segments of a usual message, which is sent to nobody
ROUTE = Route("https://jxs.example.cn", links_allowed=False)
MOST_SEGMENTS = 2
# of a template that a gateway takes, places included
LONGEST = 500
CODE_MESSAGE = "sign_in_code"
CODE_WORDS = ("验证码", "校验码", "动态码", "注册码")
# what carriers in mainland China stop in notices, beyond what no notice of ours says
STOPPED = (
    *("抽奖", "中奖", "优惠券", "贷款", "加微信", "加群", "免费领", "返现"),
    *("拒收请回复", "回复T退订", "回T退订"),
)
_ODD = re.compile(r"[『』「」〖〗★☆※①-⑳•·→™°²³#]")
_TOUCHING = re.compile(r"\}\s*\{")
_SIGNED = {
    "zh": re.compile(r"【(?:[^【】{}]{2,12}|\{\w+\})】"),
    "en": re.compile(r"\[(?:[^\[\]{}]{2,20}|\{\w+\})\]"),
}
_MARKS = {"zh": re.compile(r"[【】]"), "en": re.compile(r"[\[\]【】]")}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a wording."""

    file: str
    line: int
    found: str
    remedy: str


def faults(folder: Path = MESSAGES) -> list[Fault]:
    """All faults of the wordings in a folder and of the table beside them."""
    try:
        table = tomllib.loads((folder / TABLE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [Fault(TABLE, 1, f"cannot be read ({error})", "Correct it as TOML.")]
    found = []
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    for key in names:
        entry = table.get(key)
        if not isinstance(entry, dict):
            found.append(
                Fault(
                    TABLE,
                    1,
                    f"does not know {key}",
                    f"Add [{key}] with its places and their types.",
                )
            )
            continue
        found += _of_table(folder, key, entry)
        found += _of_message(folder, key, set(entry))
    found += [
        Fault(TABLE, _line(folder, key), f"knows {key}, which is no message", f"Remove [{key}].")
        for key in sorted(set(table) - set(names))
    ]
    return found


def _line(folder: Path, key: str) -> int:
    lines = (folder / TABLE).read_text(encoding="utf-8").splitlines()
    return next((n for n, said in enumerate(lines, 1) if said.strip() == f"[{key}]"), 1)


def _of_table(folder: Path, key: str, entry: dict[str, object]) -> Iterator[Fault]:
    for name, kind in entry.items():
        if kind not in TYPES:
            yield Fault(
                TABLE,
                _line(folder, key),
                f"[{key}] {name} has the type {kind!r}, which there is not",
                f"Choose one of {', '.join(TYPES)}.",
            )
        if name not in SAMPLES:
            yield Fault(
                TABLE,
                _line(folder, key),
                f"[{key}] {name} has no sample",
                "Add what it usually holds to SAMPLES in reactions/variables.py.",
            )


def _of_message(folder: Path, key: str, places: set[str]) -> Iterator[Fault]:
    texts: dict[str, str] = {}
    for language in LANGUAGES:
        name = f"{key}/sms.{language}.txt"
        try:
            lines = (folder / name).read_text(encoding="utf-8").strip().splitlines()
        except OSError:
            yield Fault(name, 1, "is missing", "Write the message in this language too.")
            continue
        if len(lines) != 1:
            yield Fault(name, 2, "has several lines, or none", "Write one line: it is one text.")
            continue
        texts[language] = lines[0]
        for found, remedy in _of_text(key, language, lines[0], places):
            yield Fault(name, 1, found, remedy)
    if len(texts) == len(LANGUAGES) and len({catalogue.places_of(t) for t in texts.values()}) > 1:
        yield Fault(
            f"{key}/sms.en.txt",
            1,
            "names other places than the Chinese",
            "Name the same places in both languages.",
        )


def _of_text(key: str, language: str, text: str, places: set[str]) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do) of one wording."""
    named = catalogue.places_of(text)
    for name in sorted(named - places):
        known = ", ".join(sorted(places)) or "none"
        yield (
            f"names {{{name}}}, which this message does not have",
            f"Use {known}; or declare it in {TABLE} and give it where the message is told.",
        )
    for name in sorted(places - named):
        yield f"does not name {name}", f"Name it, or take it out of {TABLE} and both languages."
    if stray := _has_stray_brace(text):
        yield "has a brace that belongs to no place", "Write a place as {name}, in small letters."
    submitted = catalogue.to_submit(text, language, "x.cn")
    if _TOUCHING.search(text) or "}${" in submitted:
        yield (
            "has two places with nothing between them",
            "Put words or a mark between: a gateway cannot tell where the one ends.",
        )
    if found := LINK.search(text):
        yield (
            f"holds the link {found[0]}",
            "Take it out: carriers drop texts with links; {open} leads to the page.",
        )
    allowed = CODE_WORDS if key == CODE_MESSAGE else ()
    for word in (*BANNED, *STOPPED):
        if word in text.casefold() and word not in allowed:
            yield (
                f"says {word}",
                "Say it otherwise: carriers stop such texts, and frauds send them.",
            )
    signature = _SIGNED[language].match(text)
    if signature is None:
        marks = "【】, with 2 to 12 characters" if language == "zh" else "[]"
        yield "has no signature", f"Begin with who writes, in {marks}, or one place in them."
    if _MARKS[language].search(text[signature.end() if signature else 0 :]):
        yield (
            "has marks of a signature in its text",
            "Use round brackets: 【】 and [] belong to the signature.",
        )
    if odd := _ODD.search(text):
        yield f"holds {odd[0]}", "Use another mark: gateways refuse this one."
    if key == CODE_MESSAGE and language == "zh" and not any(w in text for w in CODE_WORDS):
        yield (
            "does not call its code by a name that gateways know",
            f"Say one of {', '.join(CODE_WORDS)}.",
        )
    if len(submitted) > LONGEST:
        yield f"has {len(submitted)} characters", f"Shorten it to {LONGEST}."
    if named <= set(SAMPLES) and not stray:
        count = segments(catalogue.reads(text, language, ROUTE)).count
        if count > MOST_SEGMENTS:
            yield (
                f"fills {count} segments with usual values",
                f"Shorten it to {MOST_SEGMENTS}: each is paid for, for each family.",
            )


def _has_stray_brace(text: str) -> bool:
    try:
        templates.refuse_unknown_variables(text, templates.placeholders(text))
    except TemplateRefused:
        return True
    return False
