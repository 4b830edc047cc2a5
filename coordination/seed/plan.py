"""How many of what a synthetic district has, and under which ids. Knows no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coordination.ground.text import Text

CLASS_SIZE = 40
GRADES = 6
SCHOOLS_PER_PARTNER = 10

Cells = tuple[object, ...]
# table, its columns, and what makes its rows
Table = tuple[str, tuple[str, ...], Callable[[], Iterator[Cells]]]


def school_name(index: int) -> Text:
    """Name of a school."""
    return Text(f"第{index + 1}小学", f"Primary School No. {index + 1}")


def partner_name(index: int) -> Text:
    """Name of a community partner."""
    return Text(f"第{index + 1}社区学堂", f"Community Workshop No. {index + 1}")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of what, and from which id on; ids are given out here, so that rows can refer."""

    schools: int
    students: int

    @property
    def partners(self) -> int:
        """Community partners."""
        return self.schools // SCHOOLS_PER_PARTNER + 1

    @property
    def per_school(self) -> int:
        """Classes of each school."""
        return max(GRADES, -(-self.students // (self.schools * CLASS_SIZE)))

    @property
    def classes(self) -> int:
        """Classes of the district."""
        return self.schools * self.per_school

    @property
    def families(self) -> int:
        """Four children live in three families."""
        return (self.students // 4) * 3 + min(self.students % 4, 3)

    # district 1, then schools, then partners
    def school(self, index: int) -> int:
        """Organisation id."""
        return 2 + index

    def partner(self, index: int) -> int:
        """Organisation id."""
        return 2 + self.schools + index

    # students first, then two guardians a family, then staff
    def guardian(self, family: int, which: int) -> int:
        """Person id."""
        return 1 + self.students + 2 * family + which

    @property
    def guardians(self) -> int:
        """Two a family."""
        return 2 * self.families

    def staff(self, index: int) -> int:
        """Person id: the class teachers, then one administrator a school, partners, the bureau."""
        return 1 + self.students + self.guardians + index

    @property
    def staffed(self) -> int:
        """All staff."""
        return self.classes + self.schools + self.partners + 2

    def family_of(self, student: int) -> int:
        """The third and fourth of every four children are siblings."""
        return student // 4 * 3 + min(student % 4, 2)

    def class_of(self, student: int) -> int:
        """Class id; neighbours in number sit in different classes."""
        return 1 + student % self.classes
