"""What a class is called a year later: 三（2）班 becomes 四（2）班, Class 3(2) becomes Class 4(2).

A rule that does not know a name says None, and a person writes it. Must not know any table.
"""

from __future__ import annotations

import re

from coordination.domain.people.roster.normal import english_class_name
from coordination.ground.text import Text

_NUMERALS = ("", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二")
# 初一 is grade 7, 高一 is grade 10
_STAGES = {"初": 6, "高": 9}
_COHORT = re.compile(r"^\d{4}\s*[级届]")
_STAGE = re.compile(r"^([初高])([一二三123])")
_GRADE = re.compile(r"^(十[一二]?|[一二三四五六七八九]|1[0-2]|[1-9])(?=年级|[（(.\-]|班)")
_ENGLISH = re.compile(r"^((?:Class|Grade|Year)?\s*)(\d{1,2})(?!\d)", re.I)
_LAST_NUMBER = re.compile(r"(\d{1,3})(?=\D*$)")
# after the last grade of a stage the children go to another school, unless theirs goes on
LAST_GRADES = (6, 9, 12)
FIRST_GRADES = (1, 7, 10)


def school_year(year: int) -> Text:
    """2026 is 2026—2027学年."""
    return Text(f"{year}—{year + 1}学年", f"school year {year}/{(year + 1) % 100:02}")


def next_name(name: Text, old: int, new: int) -> Text | None:
    """The name of a class that goes from grade `old` to `new`; None if no rule knows."""
    zh = _chinese(name.zh, old, new)
    if zh is None:
        return None
    return Text(zh, _english(name.en, zh, old, new, kept=zh == name.zh))


def _chinese(name: str, old: int, new: int) -> str | None:
    if _COHORT.match(name):
        return name  # named after the year in which its children came: it keeps that name
    stage = _STAGE.match(name)
    if stage:
        base, number = _STAGES[stage[1]], stage[2]
        if base + ("一二三".find(number) + 1 or int(number)) != old:
            return None
        place = next(((w, new - b) for w, b in _STAGES.items() if 1 <= new - b <= 3), None)
        if place is None:
            return None
        written = str(place[1]) if number.isdigit() else _NUMERALS[place[1]]
        return f"{place[0]}{written}{name[stage.end() :]}"
    grade = _GRADE.match(name)
    if grade is None or not 1 <= new <= 12:
        return None
    number = grade[1]
    if (int(number) if number.isdigit() else _NUMERALS.index(number)) != old:
        return None
    written = str(new) if number.isdigit() else _NUMERALS[new]
    return f"{written}{name[grade.end() :]}"


def _english(name: str, zh: str, old: int, new: int, *, kept: bool) -> str:
    if kept:
        return name
    found = _ENGLISH.match(name)
    if found and int(found[2]) == old:
        return f"{found[1]}{new}{name[found.end() :]}"
    return english_class_name(zh)


def numbered(name: Text, number: int) -> Text | None:
    """The same name with another number of the class; None if it has none."""
    zh = _LAST_NUMBER.sub(str(number), name.zh, count=1)
    if not _LAST_NUMBER.search(name.zh):
        return None
    return Text(zh, _LAST_NUMBER.sub(str(number), name.en, count=1))


def leaves_after(grade: int, grades: set[int]) -> bool:
    """Whether a class of this grade leaves a school that has these grades."""
    return grade == 12 or (grade in LAST_GRADES and grade + 1 not in grades)


def entry_grade(grades: set[int]) -> int:
    """The grade in which children come to a school that has these grades."""
    lowest = min(grades, default=1)
    return max(g for g in FIRST_GRADES if g <= lowest)
