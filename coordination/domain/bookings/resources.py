"""Use cases of owners: add, edit and publish what schools can book.

Must not know bookings: changed terms hold for new requests, what is booked stays booked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, delete, or_, select

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.bookings import queries, rules
from coordination.domain.bookings.models import OpeningRule, Resource
from coordination.domain.bookings.values import Hours, Terms
from coordination.domain.partners.models import PartnerProfile
from coordination.domain.people.models import Organisation
from coordination.ground.errors import Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

KINDS = ("space", "programme", "expert", "kit", "vehicle")
APPROVAL_MODES = ("direct", "request")
FEE_MODES = ("free", "reduced", "paid")
FACTS = ("toilets", "indoor", "outdoor", "first_aid", "step_free", "coats", "snack")
LISTED = ("trial", "listed")


@dataclass(frozen=True, slots=True)
class Offer:
    """What an owner says about a resource."""

    kind: str
    title: Text
    intro: Text
    address: Text
    grades: tuple[int, ...]
    facts: tuple[str, ...]
    approval_mode: str
    fee_mode: str
    terms: Terms


def add_resource(uow: UnitOfWork, *, owner_id: int, offer: Offer) -> Resource:
    """A new resource, as a draft until it is published; it stands where its owner stands."""
    uow.authorize(Action.RESOURCE_MANAGE, Scope(owner=owner_id))
    owner = uow.session.get(Organisation, owner_id)
    if owner is None:
        raise NotFound()
    _refuse_poor_offer(offer)
    resource = Resource(owner_id=owner.id, lat=owner.lat, lng=owner.lng, publish_state="draft")
    _apply(resource, offer)
    uow.session.add(resource)
    uow.session.flush()  # the opening hours refer to it
    _write_hours(uow, resource.id, offer.terms.hours, uow.now.date())
    return resource


def edit_resource(uow: UnitOfWork, *, resource_id: int, offer: Offer) -> Resource:
    """Other facts or terms; they hold for requests from now on."""
    resource = _managed(uow, resource_id)
    _refuse_poor_offer(offer)
    _apply(resource, offer)
    _write_hours(uow, resource.id, offer.terms.hours, uow.now.date())
    return resource


def publish_resource(uow: UnitOfWork, *, resource_id: int, state: str = "published") -> None:
    """Show a resource to schools, or (`draft`, `archived`) take it off the list again."""
    resource = _managed(uow, resource_id)
    if state not in ("draft", "published", "archived"):
        raise Invalid(fields={"state": Text("请选择一项。", "Choose one.")})
    if state == "published":
        profile = uow.session.scalar(
            select(PartnerProfile).where(PartnerProfile.org_id == resource.owner_id)
        )
        rules.refuse_unready(
            titles=(resource.title_zh, resource.title_en),
            hours=queries.hours_of(uow.session, resource.id),
            listed=profile is not None and profile.state in LISTED,
        )
    resource.publish_state = state


def _managed(uow: UnitOfWork, resource_id: int) -> Resource:
    resource = uow.session.get(Resource, resource_id, with_for_update={"key_share": True})
    if resource is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, resource)
    return resource


def _refuse_poor_offer(offer: Offer) -> None:
    fields = rules.problems_of_terms(offer.terms)
    for name, value in (("title_zh", offer.title.zh), ("title_en", offer.title.en)):
        if not value.strip():
            fields[name] = Text("请填写此项。", "Fill this in.")
    for name, value, known in (
        ("kind", offer.kind, KINDS),
        ("approval_mode", offer.approval_mode, APPROVAL_MODES),
        ("fee_mode", offer.fee_mode, FEE_MODES),
    ):
        if value not in known:
            fields[name] = Text("请选择一项。", "Choose one.")
    if not set(offer.facts) <= set(FACTS):
        fields["facts"] = Text("请从列表中选择。", "Choose from the list.")
    if not set(offer.grades) <= set(range(1, 13)):
        fields["grades"] = Text("请从列表中选择。", "Choose from the list.")
    if fields:
        raise Invalid(fields=fields)


def _apply(resource: Resource, offer: Offer) -> None:
    resource.kind = offer.kind
    resource.title_zh, resource.title_en = offer.title.zh, offer.title.en
    resource.intro_zh, resource.intro_en = offer.intro.zh, offer.intro.en
    resource.address_zh, resource.address_en = offer.address.zh, offer.address.en
    resource.grades, resource.facts = sorted(offer.grades), sorted(offer.facts)
    resource.approval_mode, resource.fee_mode = offer.approval_mode, offer.fee_mode
    terms = offer.terms
    resource.notice_hours, resource.horizon_days = terms.notice_hours, terms.horizon_days
    resource.slot_minutes, resource.max_minutes = terms.slot_minutes, terms.max_minutes
    resource.capacity_min, resource.capacity_max = terms.capacity_min, terms.capacity_max
    resource.buffer_before, resource.buffer_after = terms.buffer_before, terms.buffer_after


def _write_hours(uow: UnitOfWork, resource_id: int, hours: Sequence[Hours], today: date) -> None:
    """Weekly hours and dates still to come are replaced; seasons (longer validity) are kept."""
    weekly = and_(OpeningRule.valid_from.is_(None), OpeningRule.valid_to.is_(None))
    coming = and_(OpeningRule.valid_from == OpeningRule.valid_to, OpeningRule.valid_from >= today)
    uow.session.execute(
        delete(OpeningRule).where(OpeningRule.resource_id == resource_id, or_(weekly, coming))
    )
    for one in hours:
        uow.session.add(
            OpeningRule(
                resource_id=resource_id,
                weekday=one.weekday,
                opens=one.opens,
                closes=one.closes,
                valid_from=one.valid_from,
                valid_to=one.valid_to,
            )
        )
