"""Whom a notice is for: its children, its places as the policy sees them, who may write to them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import NoReturn

from sqlalchemy import Select, select

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.communication.models import ChildFile, Notice
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.domain.people.recipients import children_in, children_of_organisation
from coordination.ground.actor import Actor
from coordination.ground.errors import Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

WIDE = frozenset({"school", "district"})
# of one class, those who have a file with the notice
CHILDREN = "children"


def addressed(uow: UnitOfWork, class_ids: Collection[int], org_id: int | None) -> Notice:
    """An empty notice that knows whom it is for."""
    if org_id is None:
        groups = _classes(uow, class_ids)
        return Notice(
            school_id=groups[0].school_id,
            class_ids=sorted(g.id for g in groups),
            class_id=groups[0].id if len(groups) == 1 else None,
            reach="classes",
        )
    org = uow.session.get(Organisation, org_id)
    if org is None or org.kind not in WIDE:
        raise NotFound()
    return Notice(school_id=org.id, class_ids=[], class_id=None, reach=org.kind)


def refuse_no_classes() -> NoReturn:
    """Refuse what is for nobody."""
    raise Invalid(
        fields={"class_ids": Text("请选择要通知的班级。", "Choose the classes to write to.")}
    )


def _classes(uow: UnitOfWork, class_ids: Collection[int]) -> list[ClassGroup]:
    groups = list(
        uow.session.scalars(
            select(ClassGroup).where(ClassGroup.id.in_(class_ids)).order_by(ClassGroup.id)
        )
    )
    if not groups or len(groups) != len(set(class_ids)):
        refuse_no_classes()
    if len({g.school_id for g in groups}) > 1:
        raise Invalid(
            fields={
                "class_ids": Text(
                    "一次只能通知一所学校的班级，请分开发送。",
                    "One notice goes to one school; send them separately.",
                )
            }
        )
    return groups


def children_of(notice: Notice, today: date) -> Select[int]:
    """The children a notice is about."""
    if notice.reach == CHILDREN:
        filed = select(ChildFile.child_id).where(ChildFile.notice_id == notice.id)
        return children_in(notice.class_ids, today).where(Person.id.in_(filed))
    return children_around(notice, today)


def children_around(notice: Notice, today: date) -> Select[int]:
    """The children of its whole school or classes, whose names a text must be careful with."""
    return children_named(notice.class_ids, notice.school_id if notice.reach in WIDE else 0, today)


def children_named(class_ids: Collection[int], org_id: int, today: date) -> Select[int]:
    """The children of a school or district, or (without `org_id`) of some classes."""
    if org_id:
        return children_of_organisation(org_id, today)
    return children_in(class_ids, today)


def places_of(notice: Notice) -> list[Scope]:
    """Where a notice goes as the policy sees it: who may write to all may send, nudge or stop."""
    if notice.reach in WIDE:
        return [Scope(school=notice.school_id)]
    return [Scope(school=notice.school_id, class_=c) for c in notice.class_ids]


def may_nudge(actor: Actor, notice: Notice) -> bool:
    """Whether the actor may write to every class of the notice."""
    return all(allowed(actor, Action.NOTICE_SEND, place) for place in places_of(notice))


def locked(uow: UnitOfWork, notice_id: int) -> Notice | None:
    """The notice as it stands now; nobody else changes it, or takes a step with it, until we commit."""
    return uow.session.get(Notice, notice_id, with_for_update=True, populate_existing=True)
