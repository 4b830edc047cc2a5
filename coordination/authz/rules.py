"""Rules with two faces: `check` answers "may I?", `where` answers "which rows?".

Both read the same scope words (school, class, child, owner, person), so they cannot disagree.
Must not know any table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, false, or_, true

from coordination.ground.actor import Actor, Role


@dataclass(frozen=True, slots=True)
class Scope:
    """Where something new would stand; used to authorize before a row exists."""

    school: int | None = None
    class_: int | None = None
    child: int | None = None
    owner: int | None = None
    person: int | None = None


def scope_value(thing: object, word: str) -> int | None:
    """The id that `thing` has for a scope word, or None if it has none."""
    if isinstance(thing, Scope):
        return getattr(thing, "class_" if word == "class" else word, None)
    column = getattr(type(thing), "__scope__", {}).get(word)
    return getattr(thing, column, None) if column else None


def _column(model: type[Any], word: str) -> Any | None:
    column = getattr(model, "__scope__", {}).get(word)
    return getattr(model, column) if column else None


def _named(roles: tuple[Role, ...]) -> str:
    return " or ".join(role.value.replace("_", " ") for role in roles) or "member"


class Rule:
    """Base: nobody, nothing."""

    def check(self, actor: Actor, thing: object) -> bool:
        """Whether `actor` may do it to `thing`."""
        return False

    def where(self, actor: Actor, model: type[Any]) -> ColumnElement[bool]:
        """Which rows of `model` the actor may do it to."""
        return false()

    def __or__(self, other: Rule) -> Rule:
        return AnyOf((self, other))

    def __str__(self) -> str:
        """The rule as the printed policy says it."""
        return "nobody"


@dataclass(frozen=True, slots=True)
class AnyOf(Rule):
    """One of several rules is enough."""

    rules: tuple[Rule, ...]

    def check(self, actor: Actor, thing: object) -> bool:
        return any(r.check(actor, thing) for r in self.rules)

    def where(self, actor: Actor, model: type[Any]) -> ColumnElement[bool]:
        return or_(false(), *(r.where(actor, model) for r in self.rules))

    def __str__(self) -> str:
        return ", or ".join(map(str, self.rules))


class _Flat(Rule):
    """A rule that looks at the actor alone."""

    def holds(self, actor: Actor) -> bool:
        """Whether the actor qualifies."""
        return False

    def check(self, actor: Actor, thing: object) -> bool:
        return self.holds(actor)

    def where(self, actor: Actor, model: type[Any]) -> ColumnElement[bool]:
        return true() if self.holds(actor) else false()


class Anyone(_Flat):
    """No condition (sign-in, public pages)."""

    def __str__(self) -> str:
        return "anybody"

    def holds(self, actor: Actor) -> bool:
        return True


class SignedIn(_Flat):
    """Anybody whom we know."""

    def __str__(self) -> str:
        return "whoever is signed in"

    def holds(self, actor: Actor) -> bool:
        return actor.signed_in


class TheSystem(_Flat):
    """Worker, clock, command line."""

    def __str__(self) -> str:
        return "the system itself"

    def holds(self, actor: Actor) -> bool:
        return actor.is_system


@dataclass(frozen=True, slots=True)
class Holding(_Flat):
    """Holds one of `roles` anywhere: district roles, or lists that every school may read."""

    roles: tuple[Role, ...]

    def holds(self, actor: Actor) -> bool:
        return bool(actor.roles.intersection(self.roles))

    def __str__(self) -> str:
        return f"any {_named(self.roles)}"


@dataclass(frozen=True, slots=True)
class _Within(Rule):
    """The thing's scope id is among ids that follow from the actor."""

    word: str

    def ids(self, actor: Actor) -> Iterable[int]:
        """The actor's ids for the scope word."""
        return ()

    def check(self, actor: Actor, thing: object) -> bool:
        value = scope_value(thing, self.word)
        return value is not None and value in frozenset(self.ids(actor))

    def where(self, actor: Actor, model: type[Any]) -> ColumnElement[bool]:
        column, ids = _column(model, self.word), sorted(self.ids(actor))
        if column is None or not ids:
            return false()
        condition: ColumnElement[bool] = column.in_(ids)
        return condition


@dataclass(frozen=True, slots=True)
class InSchool(_Within):
    """Holds one of `roles` in the school the thing belongs to."""

    roles: tuple[Role, ...] = ()

    def ids(self, actor: Actor) -> Iterable[int]:
        return actor.orgs(*self.roles)

    def __str__(self) -> str:
        return f"{_named(self.roles)} of the {self.word}"


@dataclass(frozen=True, slots=True)
class OfOwner(InSchool):
    """Works for the partner or base that owns the thing."""


@dataclass(frozen=True, slots=True)
class InClass(_Within):
    """Is class teacher of the class."""

    def ids(self, actor: Actor) -> Iterable[int]:
        return actor.class_ids

    def __str__(self) -> str:
        return f"class teacher of the {self.word}"


@dataclass(frozen=True, slots=True)
class OfChild(_Within):
    """Is a guardian of the child, without a custody limit."""

    def ids(self, actor: Actor) -> Iterable[int]:
        return actor.child_ids

    def __str__(self) -> str:
        return f"guardian of the {self.word}, without a custody limit"


@dataclass(frozen=True, slots=True)
class OneSelf(_Within):
    """Is the person."""

    def ids(self, actor: Actor) -> Iterable[int]:
        return () if actor.person_id is None else (actor.person_id,)

    def __str__(self) -> str:
        return "the person alone"


def in_school(*roles: Role) -> Rule:
    """Holds one of `roles` in the thing's school."""
    return InSchool("school", roles)


def of_owner(*roles: Role) -> Rule:
    """Works (in one of `roles`) for the organisation that owns the thing."""
    return OfOwner("owner", roles)


def holding(*roles: Role) -> Rule:
    """Holds one of `roles` anywhere."""
    return Holding(roles)


ANYONE, SIGNED_IN, SYSTEM_ONLY = Anyone(), SignedIn(), TheSystem()
IN_CLASS, OF_CHILD, ONESELF = InClass("class"), OfChild("child"), OneSelf("person")
DISTRICT = holding(Role.DISTRICT_ADMIN, Role.COORDINATOR)
