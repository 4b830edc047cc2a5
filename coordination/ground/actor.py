"""Who acts: a value made once per request or job. Holds ids and roles, no rows.

`child_ids` already leaves out every child whose data this guardian may not have (custody limits).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from coordination.ground.text import Language


class Role(StrEnum):
    """任职: what a person is in an organisation."""

    DISTRICT_ADMIN = "district_admin"  # 区教育局管理员
    COORDINATOR = "coordinator"  # 协调员
    SCHOOL_ADMIN = "school_admin"  # 学校管理员
    CLASS_TEACHER = "class_teacher"  # 班主任
    PARTNER_STAFF = "partner_staff"  # 资源单位工作人员
    VOLUNTEER = "volunteer"  # 志愿者
    DATA_OFFICER = "data_officer"  # 数据专员


@dataclass(frozen=True, slots=True)
class Post:
    """One current role in one organisation; `class_id` for class teachers."""

    role: Role
    org_id: int
    class_id: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks: a person, the system itself, or nobody yet."""

    person_id: int | None = None
    name: str = ""
    language: Language = "zh"
    posts: tuple[Post, ...] = ()
    child_ids: frozenset[int] = frozenset()
    is_system: bool = False
    # set when the actor came by a short code: the only (subject_type, subject_id) it opens
    link: tuple[str, int] | None = None
    session_id: int | None = field(default=None, compare=False)

    @property
    def roles(self) -> frozenset[Role]:
        """All roles held today."""
        return frozenset(p.role for p in self.posts)

    @property
    def is_guardian(self) -> bool:
        """Whether the actor has at least one child here."""
        return bool(self.child_ids)

    @property
    def signed_in(self) -> bool:
        """Whether somebody is known."""
        return self.person_id is not None

    def orgs(self, *roles: Role) -> frozenset[int]:
        """Organisations in which the actor holds one of `roles` (any role if none given)."""
        return frozenset(p.org_id for p in self.posts if not roles or p.role in roles)

    @property
    def class_ids(self) -> frozenset[int]:
        """Classes the actor is class teacher of."""
        return frozenset(p.class_id for p in self.posts if p.class_id is not None)


ANONYMOUS = Actor()
SYSTEM = Actor(name="system", is_system=True)
