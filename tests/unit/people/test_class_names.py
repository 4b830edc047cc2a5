"""What a class is called a year later, for the ways in which schools write their classes."""

from __future__ import annotations

import pytest

from coordination.domain.people.year import naming
from coordination.ground.text import Text


@pytest.mark.parametrize(
    ("name", "old", "new", "wanted"),
    [
        (Text("三（2）班", "Class 3(2)"), 3, 4, Text("四（2）班", "Class 4(2)")),
        (Text("3（2）班", "3(2)"), 3, 4, Text("4（2）班", "4(2)")),
        (Text("三年级2班", "Grade 3 Class 2"), 3, 4, Text("四年级2班", "Grade 4 Class 2")),
        (Text("三2班", "Class 3(2)"), 3, 4, None),
        (Text("六（1）班", "Class 6(1)"), 6, 7, Text("七（1）班", "Class 7(1)")),
        (Text("九（10）班", "Class 9(10)"), 9, 10, Text("十（10）班", "Class 10(10)")),
        (Text("十一（3）班", "Class 11(3)"), 11, 12, Text("十二（3）班", "Class 12(3)")),
        (Text("初一（3）班", "Class 7(3)"), 7, 8, Text("初二（3）班", "Class 8(3)")),
        (Text("初三（3）班", "Class 9(3)"), 9, 10, Text("高一（3）班", "Class 10(3)")),
        (Text("高2（3）班", "Class 11(3)"), 11, 12, Text("高3（3）班", "Class 12(3)")),
        # named after the year in which its children came
        (Text("2023级2班", "Cohort 2023-2"), 3, 4, Text("2023级2班", "Cohort 2023-2")),
        # no English name of its own
        (Text("三（2）班", "三（2）班"), 3, 4, Text("四（2）班", "Class 4(2)")),
        # the name says another grade than the class has: nobody guesses
        (Text("四（2）班", "Class 4(2)"), 3, 4, None),
        (Text("向日葵班", "Sunflowers"), 3, 4, None),
    ],
)
def test_a_class_is_called_by_its_next_grade(
    name: Text, old: int, new: int, wanted: Text | None
) -> None:
    assert naming.next_name(name, old, new) == wanted


def test_a_new_class_gets_its_number() -> None:
    assert naming.numbered(Text("一（1）班", "Class 1(1)"), 12) == Text("一（12）班", "Class 1(12)")
    assert naming.numbered(Text("向日葵班", "Sunflowers"), 2) is None


@pytest.mark.parametrize(
    ("grade", "grades", "leaves"),
    [
        (6, {1, 6}, True),
        (6, {1, 6, 7, 9}, False),
        (9, {1, 6, 7, 9}, True),
        (9, {7, 9, 10}, False),
        (12, {10, 12}, True),
        (5, {5}, False),
    ],
)
def test_the_last_grade_of_a_school_leaves(grade: int, grades: set[int], leaves: bool) -> None:
    assert naming.leaves_after(grade, grades) is leaves


@pytest.mark.parametrize(("grades", "first"), [({3, 4}, 1), ({7, 9}, 7), ({10}, 10), (set(), 1)])
def test_children_come_in_at_the_first_grade_of_the_stage(grades: set[int], first: int) -> None:
    assert naming.entry_grade(grades) == first
