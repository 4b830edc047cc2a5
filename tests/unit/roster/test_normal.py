"""Normal forms of names, grades, dates, phones and relations."""

from __future__ import annotations

from datetime import date

import pytest

from coordination.domain.people.roster import normal


@pytest.mark.parametrize(
    ("typed", "numbers", "refused"),
    [
        ("13800138001", ["+8613800138001"], []),
        ("+8613800138001", ["+8613800138001"], []),
        ("８６１３８００１３８００１", ["+8613800138001"], []),
        ("１３８ ００１３ ８００１", ["+8613800138001"], []),
        ("138-0013-8001", ["+8613800138001"], []),
        ("13800138001/13900139001", ["+8613800138001", "+8613900139001"], []),
        ("13800138001、13900139001", ["+8613800138001", "+8613900139001"], []),
        ("13800138001 13900139001", ["+8613800138001", "+8613900139001"], []),
        ("13800138001；13800138001", ["+8613800138001"], []),
        ("13800138001或13900139001", ["+8613800138001", "+8613900139001"], []),
        ("13800138001.0", ["+8613800138001"], []),
        ("1.3800138E+10", [], ["1.3800138E+10"]),
        ("13800138001/无", ["+8613800138001"], ["无"]),
        ("1380013800", [], ["1380013800"]),
        ("", [], []),
    ],
)
def test_a_cell_may_hold_several_phones(typed: str, numbers: list[str], refused: list[str]) -> None:
    assert normal.phones(typed) == (numbers, refused)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("三年级", 3),
        ("三（2）班", 3),
        ("03", 3),
        ("3", 3),
        ("３", 3),
        ("3年级", 3),
        ("初一", 7),
        ("初二（3）班", 8),
        ("高三", 12),
        ("Grade 5", 5),
        ("year 11", 11),
        ("13", None),
        ("0", None),
        ("KG", None),
        ("", None),
    ],
)
def test_grades_are_numbers_from_one_to_twelve(typed: str, found: int | None) -> None:
    assert normal.grade(typed) == found


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("2017-09", date(2017, 9, 1)),
        ("2017年9月", date(2017, 9, 1)),
        ("2017/9/14", date(2017, 9, 14)),
        ("2017-09-14T00:00:00Z", date(2017, 9, 14)),
        ("2017-09-14 00:00:00", date(2017, 9, 14)),
        ("9/14/2017", date(2017, 9, 14)),
        ("201709", date(2017, 9, 1)),
        ("20170914", date(2017, 9, 14)),
        ("２０１７．０９", date(2017, 9, 1)),
        ("2017-13", None),
        ("soon", None),
        ("", None),
    ],
)
def test_dates_come_in_many_ways(typed: str, found: date | None) -> None:
    assert normal.day(typed) == found


def test_of_a_birth_date_only_the_month_is_kept() -> None:
    assert normal.birth_month("2017-09-14") == date(2017, 9, 1)


@pytest.mark.parametrize(
    ("family", "given", "name"),
    [
        ("王", "小雨", "王小雨"),
        ("", "王小雨", "王小雨"),
        ("Craig", "Jack", "Jack Craig"),
        ("𠮷田", "悠", "𠮷田悠"),
        (" 王\u0000 ", "小\u0007雨", "王小雨"),
        ("买买提", "阿依古丽·", "买买提阿依古丽·"),
    ],
)
def test_names_follow_the_order_of_their_script(family: str, given: str, name: str) -> None:
    assert normal.person_name(family, given) == name


@pytest.mark.parametrize("typed", ["三(2)班", "三（2）班", "三(２)班", "三 （2） 班", "三（２）班"])
def test_a_class_has_one_name_however_it_is_typed(typed: str) -> None:
    assert normal.class_name(typed) == "三（2）班"
    assert normal.english_class_name("三（2）班") == "Class 3(2)"


def test_a_latin_class_name_is_left_alone() -> None:
    assert normal.class_name("Math - Algebra (1)") == "Math - Algebra (1)"
    assert normal.english_class_name("奥数班") == "奥数班"


@pytest.mark.parametrize(
    ("typed", "found"),
    [("母亲", "mother"), ("妈妈", "mother"), ("外婆", "grandparent"), ("Father", "father"),
     ("监护人", "guardian"), ("", ""), ("邻居", None)],
)  # fmt: skip
def test_relations_are_ours_or_unknown(typed: str, found: str | None) -> None:
    assert normal.relation(typed) == found


def test_pinyin_sorts_names_of_both_scripts() -> None:
    assert normal.pinyin("王小雨") == "wang xiao yu"
    assert normal.pinyin("Jack Craig") == "jack craig"


@pytest.mark.parametrize("typed", ["珺", "垚", "𠮷", "阿依古丽·买买提", "🙂", "ά" * 60])
def test_rare_characters_are_part_of_a_name(typed: str) -> None:
    assert normal.plain(typed) == typed


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("王\u0007小雨", "王小雨"),
        ("\u202e王小雨", "王小雨"),
        ("王小雨\n", "王小雨"),
        ("e\u0301", "é"),
    ],
)
def test_control_characters_are_not(typed: str, kept: str) -> None:
    assert normal.plain(typed) == kept
