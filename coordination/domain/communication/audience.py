"""Whom a notice to some classes reaches: counts before sending, and why somebody is left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from coordination.domain.people.recipients import (
    Recipient,
    children_of_classes,
    guardians_of_children,
)


@dataclass(frozen=True, slots=True)
class Audience:
    """The guardians of some classes, and those of them whose phone gets a text."""

    recipients: tuple[Recipient, ...]
    children: dict[int, str]
    told: tuple[Recipient, ...]
    without_phone: tuple[Recipient, ...]
    suppressed: tuple[Recipient, ...]
    unreached_children: tuple[str, ...]

    @property
    def households(self) -> int:
        """Families: children who share a guardian belong to one."""
        return _families({r.guardian_id: r.child_ids for r in self.recipients}, set(self.children))

    def languages(self) -> dict[str, int]:
        """Messages per language."""
        counts: dict[str, int] = {}
        for recipient in self.told:
            counts[recipient.language] = counts.get(recipient.language, 0) + 1
        return counts


def audience_of(session: Session, class_ids: Collection[int], today: date) -> Audience:
    """Resolve the audience; each phone stands once in `told`, whoever shares it."""
    children = {c.id: c.name for c in children_of_classes(session, class_ids, today)}
    recipients = guardians_of_children(session, children.keys(), today)
    told: dict[str, Recipient] = {}
    for recipient in recipients:
        if recipient.phone_mask and recipient.suppressed is None:
            told.setdefault(recipient.household_key, recipient)
    reached = {child for r in told.values() for child in r.child_ids}
    return Audience(
        recipients=tuple(recipients),
        children=children,
        told=tuple(told.values()),
        without_phone=tuple(r for r in recipients if r.phone_mask is None),
        suppressed=tuple(r for r in recipients if r.phone_mask and r.suppressed is not None),
        unreached_children=tuple(name for c, name in children.items() if c not in reached),
    )


def _families(children_of: dict[int, tuple[int, ...]], children: set[int]) -> int:
    parent = {c: c for c in children}

    def root(child: int) -> int:
        while parent[child] != child:
            parent[child] = parent[parent[child]]
            child = parent[child]
        return child

    for siblings in children_of.values():
        for other in siblings[1:]:
            parent[root(other)] = root(siblings[0])
    return len({root(c) for c in children})
