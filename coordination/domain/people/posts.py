"""Roles in organisations: who holds which, since when and until when; granting and ending them.

Nobody can give what their own office does not hold: a role fits its kind of organisation only, and
schools and partners deal with their own. Must not know pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import where_visible
from coordination.domain.people import contacts
from coordination.domain.people.models import ClassGroup, Membership, Organisation, Person
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LABELS = {
    Role.DISTRICT_ADMIN: Text("区管理员", "District administrator"),
    Role.COORDINATOR: Text("协调员", "Coordinator"),
    Role.SCHOOL_ADMIN: Text("学校管理员", "School administrator"),
    Role.CLASS_TEACHER: Text("班主任", "Class teacher"),
    Role.PARTNER_STAFF: Text("资源单位人员", "Partner staff"),
    Role.VOLUNTEER: Text("志愿者", "Volunteer"),
    Role.DATA_OFFICER: Text("数据专员", "Data officer"),
}
KINDS = {
    "district": Text("区", "District"),
    "school": Text("学校", "School"),
    "partner": Text("资源单位", "Partner"),
    "government": Text("政府部门", "Government"),
    "community": Text("社区", "Community"),
}
# a role in any other kind of organisation would open what nobody there may open
FITTING: dict[str, tuple[Role, ...]] = {
    "district": (Role.COORDINATOR, Role.DATA_OFFICER, Role.DISTRICT_ADMIN, Role.VOLUNTEER),
    "school": (Role.CLASS_TEACHER, Role.SCHOOL_ADMIN, Role.VOLUNTEER),
    "partner": (Role.PARTNER_STAFF,),
    "government": (Role.PARTNER_STAFF,),
    "community": (Role.PARTNER_STAFF,),
}
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Office:
    """An organisation whose roles the actor deals with."""

    id: int
    kind: str
    name: Text
    people: int


@dataclass(frozen=True, slots=True)
class PostLine:
    """One role of one person."""

    id: int
    person_id: int
    name: str
    role: Role
    class_name: Text | None
    phone: str | None
    starts_on: date
    ends_on: date | None

    def held(self, today: date) -> bool:
        """Begun and not ended."""
        return self.starts_on <= today and (self.ends_on is None or self.ends_on >= today)


def may_deal_with(actor: Actor, org: Organisation) -> bool:
    """Whether the actor grants and ends roles there."""
    action = Action.ROLE_GRANT if org.kind in ("district", "school") else Action.PARTNER_MANAGE
    return allowed(actor, action, org)


def deals_with_any(actor: Actor) -> bool:
    """Whether there is an organisation whose roles the actor deals with."""
    return any(
        allowed(actor, action, Scope(school=org, owner=org))
        for action in (Action.ROLE_GRANT, Action.PARTNER_MANAGE)
        for org in actor.orgs()
    )


def _dealt_with(actor: Actor) -> ColumnElement[bool]:
    ours = Organisation.kind.in_(("district", "school"))
    return or_(
        and_(ours, where_visible(Organisation, actor, Action.ROLE_GRANT)),
        and_(~ours, where_visible(Organisation, actor, Action.PARTNER_MANAGE)),
    )


def _current(today: date) -> ColumnElement[bool]:
    return or_(Membership.ends_on.is_(None), Membership.ends_on >= today)


def offices_query(
    actor: Actor, today: date, *, name: str = "", kind: str = ""
) -> Select[Organisation, int]:
    """Rows (organisation, people with a role there) the actor deals with."""
    people = (
        select(func.count(Membership.person_id.distinct()))
        .where(Membership.org_id == Organisation.id, _current(today))
        .scalar_subquery()
    )
    query = (
        select(Organisation, people)
        .where(_dealt_with(actor), Organisation.active.is_(True))
        .order_by(Organisation.kind != "district", Organisation.kind, Organisation.name_zh)
        .order_by(Organisation.id)
    )
    if kind:
        query = query.where(Organisation.kind == kind)
    if name:
        query = query.where(
            or_(
                Organisation.name_zh.contains(name, autoescape=True),
                Organisation.name_en.icontains(name, autoescape=True),
            )
        )
    return query


def office_lines(rows: Sequence[tuple[Organisation, int]]) -> list[Office]:
    """The organisations of a page."""
    return [Office(o.id, o.kind, Text(o.name_zh, o.name_en), n) for o, n in rows]


def office_of(session: Session, actor: Actor, org_id: int) -> Organisation:
    """An organisation the actor deals with; NotFound for others."""
    found = session.get(Organisation, org_id)
    if found is None or not may_deal_with(actor, found):
        raise NotFound()
    return found


def posts_query(
    org_id: int, today: date, *, ended: bool = False
) -> Select[Membership, Person, ClassGroup]:
    """Rows (role, person, class) of an organisation: those held or to come, or those ended."""
    return (
        select(Membership, Person, ClassGroup)
        .join(Person, Person.id == Membership.person_id)
        .outerjoin(ClassGroup, ClassGroup.id == Membership.class_id)
        .where(Membership.org_id == org_id, ~_current(today) if ended else _current(today))
        .order_by(Membership.role, ClassGroup.grade, ClassGroup.name_zh, Person.pinyin)
        .order_by(Membership.id)
    )


def post_lines(
    session: Session, rows: Sequence[tuple[Membership, Person, ClassGroup | None]]
) -> list[PostLine]:
    """The roles of a page, with masked phones."""
    masks = contacts.masks_of(session, {p.id for _, p, _ in rows})
    return [
        PostLine(
            m.id,
            p.id,
            p.name,
            Role(m.role),
            Text(g.name_zh, g.name_en) if g else None,
            masks.get(p.id),
            m.starts_on,
            m.ends_on,
        )
        for m, p, g in rows
    ]


def classes_of(session: Session, org_id: int) -> list[ClassGroup]:
    """The school's classes, for a class teacher's role."""
    return list(
        session.scalars(
            select(ClassGroup)
            .where(ClassGroup.school_id == org_id, ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
        )
    )


def post_of(session: Session, actor: Actor, membership_id: int) -> tuple[PostLine, Organisation]:
    """A role which the actor may end, with its organisation; NotFound for others."""
    held = session.get(Membership, membership_id)
    if held is None:
        raise NotFound()
    org = office_of(session, actor, held.org_id)
    person = session.get_one(Person, held.person_id)
    group = session.get(ClassGroup, held.class_id) if held.class_id else None
    return post_lines(session, [(held, person, group)])[0], org


def grant(
    uow: UnitOfWork,
    *,
    org_id: int,
    role: Role,
    name: str,
    phone: str,
    starts_on: date,
    ends_on: date | None = None,
    class_id: int | None = None,
) -> Membership:
    """Give an adult a role; whoever is not known yet by name and phone is entered.

    The phone is how they sign in, so a number that is another adult's is refused.
    """
    org = _authorized(uow, org_id)
    if role not in FITTING[org.kind]:
        raise Forbidden(
            Text("这类单位没有这个角色。", "There is no such role in this kind of organisation.")
        )
    _fitting_class(uow.session, org, role, class_id)
    if ends_on is not None and ends_on < starts_on:
        raise Invalid(
            fields={
                "ends_on": Text("结束日期不能早于开始日期。", "It cannot end before it begins.")
            }
        )
    person = _adult(uow.session, name, phone)
    taken = uow.session.scalar(
        select(Membership.id).where(
            Membership.person_id == person.id,
            Membership.org_id == org_id,
            Membership.role == role.value,
            func.coalesce(Membership.class_id, 0) == (class_id or 0),
            or_(Membership.ends_on.is_(None), Membership.ends_on >= starts_on),
            Membership.starts_on <= (ends_on or date.max),
        )
    )
    if taken is not None:
        raise Conflict(
            Text(
                "此人在这段时间已有这个角色。", "This person holds that role at that time already."
            ),
            code="role_held",
        )
    made = Membership(
        person_id=person.id,
        org_id=org_id,
        role=role.value,
        class_id=class_id,
        starts_on=starts_on,
        ends_on=ends_on,
    )
    uow.session.add(made)
    uow.session.flush()  # the caller shows it by its id
    return made


def end(uow: UnitOfWork, *, membership_id: int, last_day: date) -> None:
    """Let a role end after `last_day`; the district keeps one administrator at all times."""
    found = uow.session.get(Membership, membership_id)
    if found is None:
        raise NotFound()
    _authorized(uow, found.org_id)
    administrators = _hold_administrators(uow.session) if found.role == Role.DISTRICT_ADMIN else ()
    held = uow.session.get_one(
        Membership, membership_id, with_for_update=True, populate_existing=True
    )
    # a role given by mistake today may end as if it had not been
    if last_day < held.starts_on - timedelta(days=1):
        raise Invalid(
            fields={"last_day": Text("不能早于任职开始的日期。", "It cannot end before it began.")}
        )
    if held.ends_on is not None and held.ends_on < last_day:
        raise Conflict(
            Text(
                f"这个角色已定于 {held.ends_on.isoformat()} 结束；要延长请重新授予。",
                f"This role ends on {held.ends_on.isoformat()} already; grant it anew to extend it.",
            ),
            code="ends_earlier",
        )
    if administrators and not any(_stays(m, held, last_day) for m in administrators):
        raise Conflict(
            Text(
                "区里至少要有一位没有结束日期的管理员。请先授予接任者。",
                "The district needs one administrator without an end date. Grant a successor first.",
            ),
            code="last_administrator",
        )
    held.ends_on = last_day


def _authorized(uow: UnitOfWork, org_id: int) -> Organisation:
    org = uow.session.get(Organisation, org_id)
    if org is None:
        raise NotFound()
    action = Action.ROLE_GRANT if org.kind in ("district", "school") else Action.PARTNER_MANAGE
    uow.authorize(action, org)
    return org


def _fitting_class(session: Session, org: Organisation, role: Role, class_id: int | None) -> None:
    if (role is Role.CLASS_TEACHER) != (class_id is not None):
        raise Invalid(
            fields={
                "class_id": Text("请选择班级。", "Choose the class.")
                if class_id is None
                else Text("只有班主任需要选择班级。", "Only class teachers have a class.")
            }
        )
    if class_id is None:
        return
    group = session.get(ClassGroup, class_id)
    if group is None or group.school_id != org.id:
        raise Invalid(
            fields={"class_id": Text("这不是本校的班级。", "Not a class of this school.")}
        )


def _adult(session: Session, name: str, phone: str) -> Person:
    number = normal_phone(phone)
    if number is None:
        raise Invalid(
            fields={"phone": Text("请填写 11 位手机号码。", "Enter a mobile number, 11 digits.")}
        )
    if not name or len(name) > LONGEST_NAME:
        raise Invalid(fields={"name": Text("请填写姓名。", "Enter the name.")})
    holders = [
        person
        for person in session.scalars(
            select(Person)
            .where(
                Person.id.in_(contacts.persons_by_phone(session, number)),
                Person.is_student.is_(False),
                Person.status == "active",
            )
            .order_by(Person.id)
            .with_for_update()
        )
    ]
    known = next((person for person in holders if person.name == name), None)
    if known is not None:
        return known
    if holders:
        raise Conflict(
            Text(
                "这个手机号登记在另一个姓名之下。请核对姓名和号码；一个号码只能给一个人登录。",
                "This mobile is registered under another name. Check both; a number signs in one "
                "person only.",
            ),
            code="phone_of_another",
        )
    person = Person(name=name)
    session.add(person)
    session.flush()  # the phone refers to it
    contacts.set_phone(session, person.id, number)
    return person


def _hold_administrators(session: Session) -> Sequence[Membership]:
    # all of them, in one order: of two who end each other the second sees what the first did
    return session.scalars(
        select(Membership)
        .join(Person, Person.id == Membership.person_id)
        .where(Membership.role == Role.DISTRICT_ADMIN.value, Person.status == "active")
        .order_by(Membership.id)
        .with_for_update(of=Membership)
        .execution_options(populate_existing=True)
    ).all()


def _stays(other: Membership, leaving: Membership, last_day: date) -> bool:
    return (
        other.id != leaving.id
        and other.ends_on is None
        and other.starts_on <= last_day + timedelta(days=1)
    )
