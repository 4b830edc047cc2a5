"""Normal forms of what stands in roster cells: names, grades, dates, phones, relations.

Pure and fast: called several times for each of hundreds of thousands of rows. Knows no file.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from phonenumbers import PhoneMetadata

from coordination.ground.phones import normal_phone
from coordination.ground.text import clean, half_width

LONGEST_NAME = 120

# the library's own pattern of mainland mobile numbers: parsing each number would cost 20 times more
_CHINA = PhoneMetadata.metadata_for_region("CN")
assert _CHINA is not None
assert _CHINA.mobile is not None
_MAINLAND = re.compile(rf"(?:\+?86)?({_CHINA.mobile.national_number_pattern})")
_BETWEEN_PHONES = re.compile(r"[/\\、,，;；|\n]|\s{2,}|(?<=\d{11}) (?=1\d)|或|和")
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_YEAR_MONTH = re.compile(r"(\d{4})\D{0,2}(\d{1,2})(?:\D{0,2}(\d{1,2}))?\D*")
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_CLASS_NUMBER = re.compile(r"([一二三四五六七八九])（(\d{1,2})）班")
_GRADE_WORDS = {
    **{word: n for n, word in enumerate("一二三四五六七八九", 1)},
    "初一": 7, "初二": 8, "初三": 9, "高一": 10, "高二": 11, "高三": 12,
}  # fmt: skip
RELATIONS = {
    "父亲": "father", "父": "father", "爸爸": "father", "father": "father",
    "母亲": "mother", "母": "mother", "妈妈": "mother", "mother": "mother",
    "家长": "parent", "父母": "parent", "parent": "parent",
    "祖父": "grandparent", "祖母": "grandparent", "外祖父": "grandparent", "外祖母": "grandparent",
    "爷爷": "grandparent", "奶奶": "grandparent", "外公": "grandparent", "外婆": "grandparent",
    "姥姥": "grandparent", "姥爷": "grandparent", "祖辈": "grandparent",
    "grandparent": "grandparent", "grandmother": "grandparent", "grandfather": "grandparent",
    "亲属": "relative", "亲戚": "relative", "relative": "relative",
    "监护人": "guardian", "guardian": "guardian",
    "照料人": "carer", "其他": "carer", "carer": "carer", "aide": "carer", "doctor": "carer",
    "other": "carer",
}  # fmt: skip
# who may consent unless somebody decides otherwise
LEGAL = frozenset({"father", "mother", "parent", "guardian"})


def plain(value: str) -> str:
    """`clean`, at a fraction of the price for the texts that need nothing."""
    if value.isprintable() and unicodedata.is_normalized("NFC", value):
        return value.strip()
    return clean(value.replace("\n", " "))


def code(value: str) -> str:
    """An identifier: half-width, no blanks around."""
    return value.strip() if value.isascii() and value.isprintable() else half_width(clean(value))


@lru_cache(maxsize=16384)
def _part(value: str) -> tuple[str, bool]:
    """Part of a name, and whether it is Chinese; most are many people's."""
    part = plain(value)
    return part, not part.isascii() and _CJK.search(part) is not None


def person_name(family: str, given: str) -> str:
    """Family and given name in the order of their script."""
    first, chinese = _part(family)
    second, both = _part(given)
    if not first or not second:
        return first or second
    return first + second if chinese and both else f"{second} {first}"


def class_name(value: str) -> str:
    """三(２)班 and 三（2）班 are one class; Latin names are left alone."""
    name = plain(value)
    if not _CJK.search(name):
        return name
    return half_width(name).replace(" ", "").replace("(", "（").replace(")", "）")


def english_class_name(name: str) -> str:
    """Class 3(2) for 三（2）班; the name itself where no rule knows better."""
    found = _CLASS_NUMBER.fullmatch(name)
    return f"Class {_GRADE_WORDS[found[1]]}({found[2]})" if found else name


@lru_cache(maxsize=1024)
def grade(value: str) -> int | None:
    """1 to 12, from 3, 03, 三年级, 三（2）班, 初一; None for anything else."""
    text = half_width(value)
    if text.isascii() and text.isdigit():
        return int(text) if 1 <= int(text) <= 12 else None
    for word in (text[:2], text[:1]):
        if word in _GRADE_WORDS:
            return _GRADE_WORDS[word]
    found = re.match(r"(\d{1,2})\s*年级|(?:Grade|Year)\s*(\d{1,2})", text, re.I)
    number = int(found[1] or found[2]) if found else 0
    return number if 1 <= number <= 12 else None


@lru_cache(maxsize=8192)
def day(value: str) -> date | None:
    """A date in any of the ways spreadsheets write it; the first of the month if no day is given."""
    text = half_width(value)
    if american := _US_DATE.match(text):
        month, number, year = (int(part) for part in american.groups())
    elif found := _YEAR_MONTH.match(text):
        year, month, number = int(found[1]), int(found[2]), int(found[3] or 1)
    elif re.fullmatch(r"\d{6}|\d{8}", text):
        year, month, number = int(text[:4]), int(text[4:6]), int(text[6:] or 1)
    else:
        return None
    try:
        return date(year, month, number)
    except ValueError:
        return None


def birth_month(value: str) -> date | None:
    """Only year and month of a birth date are kept."""
    found = day(value)
    return found.replace(day=1) if found else None


def one_phone(value: str) -> str | None:
    """The number of a cell that holds one plain mainland number and nothing else: nearly all do."""
    found = _MAINLAND.fullmatch(value)
    return "+86" + found[1] if found else None


def phones(value: str) -> tuple[list[str], list[str]]:
    """(numbers in E.164, what is none) of a cell that may hold several."""
    if plain_one := one_phone(value):
        return [plain_one], []
    good: list[str] = []
    bad: list[str] = []
    for part in _BETWEEN_PHONES.split(half_width(value)):
        typed = part.strip()
        # a spreadsheet turns long numbers into 1.3800138E+10 or 13800138000.0
        typed = typed.removesuffix(".0")
        if not typed:
            continue
        number = normal_phone(typed)
        if number is None:
            bad.append(typed)
        elif number not in good:
            good.append(number)
    return good, bad


@lru_cache(maxsize=16384)
def _syllable(character: str) -> str:
    # its dictionary takes half a second to load: not at every start
    from pypinyin import lazy_pinyin

    return " ".join(lazy_pinyin(character))


def pinyin(name: str) -> str:
    """The sort and search key of a name."""
    if name.isascii():
        return name.lower()
    return " ".join(map(_syllable, name.replace(" ", "")))


def relation(value: str) -> str | None:
    """Our word for a relation; empty for an empty cell; None if nobody knows it."""
    text = half_width(value).casefold()
    return RELATIONS.get(text) if text else ""


def language(value: str) -> str:
    """zh or en; empty if the cell says nothing that we know."""
    text = half_width(value).casefold()
    if text.startswith(("en", "英")):
        return "en"
    return "zh" if text.startswith(("zh", "cn", "中", "汉")) else ""
