"""Row visibility: the `where` face of the policy as a select. Knows no feature."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select, select

from coordination.authz.actions import Action
from coordination.authz.policy import POLICY
from coordination.ground.actor import Actor
from coordination.ground.orm import Base

M = TypeVar("M", bound=Base)


def visible(model: type[M], actor: Actor, action: Action) -> Select[M]:
    """Rows of `model` to which `actor` may do `action`."""
    return select(model).where(POLICY[action].where(actor, model))


def where_visible(model: type[Any], actor: Actor, action: Action) -> Any:
    """The condition alone, for joins."""
    return POLICY[action].where(actor, model)
