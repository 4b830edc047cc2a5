"""How a reaction tells people something: one outbox row per phone, in the reader's language.

Only rows are written here; the worker sends. Wording stands in `messages/<key>/sms.<lang>.txt`.
Must not know why somebody is told: that is in the `on_<feature>.py` files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import select

from coordination.domain.communication.texts import budgets
from coordination.domain.people.models import ContactPoint, Person
from coordination.ground import portal
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import variables
from notifications import outbox, templates
from notifications.segments import segments
from notifications.values import MessageClass, Outgoing


@dataclass(frozen=True, slots=True)
class Route:
    """How a message may lead to a page: by link, or by the site's name and a code to type."""

    public_url: str
    links_allowed: bool
    # a gateway that takes no text needs the values beside it; otherwise they are not kept
    values_kept: bool = False

    def opening(self, code: str, language: str) -> str:
        """What stands in a message for `{open}`."""
        if self.links_allowed:
            return f"{self.public_url}/a/{code}"
        site = self.public_url.split("://", 1)[-1]
        shown = spaced(code)
        return Text(f"打开 {site} 输入 {shown}", f"Open {site} and enter {shown}").in_(language)


def spaced(code: str) -> str:
    """A code as one types it."""
    return f"{code[:5]}-{code[5:]}"


_route = Route("http://127.0.0.1:8000", links_allowed=False)


def use_route(public_url: str, *, links_allowed: bool, values_kept: bool = False) -> None:
    """Set once by the composition root from the settings."""
    global _route
    portal.use_address(public_url)
    _route = Route(public_url.rstrip("/"), links_allowed, values_kept)


def route() -> Route:
    """The route in force; previews use it too."""
    return _route


@cache
def wording(key: str, language: str) -> str:
    """The template text of a message in a language."""
    return (variables.MESSAGES / key / f"sms.{language}.txt").read_text(encoding="utf-8").strip()


@cache
def _places(key: str, language: str) -> Mapping[str, variables.Type]:
    """Place -> type, of those that the wording names."""
    declared = variables.declared().get(key, {})
    named = templates.placeholders(wording(key, language)) - {"open"}
    return {name: variables.TYPES[declared[name]] for name in named}


def fitted(key: str, language: str, params: Mapping[str, Text | str]) -> dict[str, str]:
    """The values that a wording names, as they may stand in it; see `variables`."""
    return {
        name: variables.fit(
            kind,
            value.in_(language) if isinstance(value, Text) else value,
            language,
            links_allowed=_route.links_allowed,
        )
        for name, kind in _places(key, language).items()
        # a wording need not name every value; a value that it names and nobody gave is refused
        if (value := params.get(name)) is not None
    }


def render(key: str, language: str, params: Mapping[str, Text | str], code: str | None) -> str:
    """The body of a message as one reader gets it."""
    return _fill(key, language, fitted(key, language, params), code)


def _fill(key: str, language: str, values: Mapping[str, str], code: str | None) -> str:
    template = wording(key, language)
    opening = {} if code is None else {"open": _route.opening(code, language)}
    named = templates.placeholders(template)
    return templates.render(
        template, {n: v for n, v in (*values.items(), *opening.items()) if n in named}, named
    )


def values_of(
    key: str, language: str, values: Mapping[str, str], code: str | None
) -> dict[str, str]:
    """What a gateway that takes no text is given for the places of a wording, by name."""
    places = _places(key, language)
    given = {
        name: variables.for_gateway(places[name], value, language) for name, value in values.items()
    }
    return given if code is None else {**given, "code": spaced(code)}


def tell(
    uow: UnitOfWork,
    key: str,
    person_ids: Iterable[int],
    params: Mapping[str, Text | str],
    *,
    subject: tuple[str, int],
    version: str,
    message_class: MessageClass = "info",
    codes: Mapping[int, str] | None = None,
    own_params: Mapping[int, Mapping[str, Text | str]] | None = None,
    not_before: datetime | None = None,
    valid_until: datetime | None = None,
    once_as: str | None = None,
    payer: int | Mapping[int, int] | None = None,
    queued_as: MessageClass | None = None,
) -> int:
    """Write one message per phone; returns how many rows are new.

    `params` are shared by all, `own_params` add to them per person id. The same `key`, `subject` and
    `version` never reaches one phone twice, however often a handler runs. Several keys that are told
    `once_as` the same count as one: a phone gets only the first of them. `payer` is the organisation
    on whose account the texts are counted, of all or per person id. `queued_as` gives it the place of
    another class in the queue, and changes nothing else.
    """
    wanted = list(dict.fromkeys(person_ids))
    if not wanted:
        return 0
    languages: dict[int, str] = {
        row.id: row.language
        for row in uow.session.execute(
            select(Person.id, Person.language).where(Person.id.in_(wanted))
        )
    }
    households = {
        row.person_id: bytes(row.value_index).hex()
        for row in uow.session.execute(
            select(ContactPoint.person_id, ContactPoint.value_index)
            .where(ContactPoint.person_id.in_(wanted), ContactPoint.kind == "phone")
            .order_by(ContactPoint.suppressed_at.is_(None), ContactPoint.id)
        )
    }
    subject_type, subject_id = subject
    # what all get is made to fit once, not once for each
    shared = {one: fitted(key, one, params) for one in set(languages.values())}
    messages = []
    for person in wanted:
        if person not in languages:
            continue
        language = languages[person]
        household = households.get(person, f"person-{person}")
        values = shared[language]
        if own := (own_params or {}).get(person):
            values = values | fitted(key, language, own)
        code = (codes or {}).get(person)
        messages.append(
            Outgoing(
                recipient_id=person,
                household_key=household,
                template_key=key,
                language=language,
                params=values_of(key, language, values, code) if _route.values_kept else {},
                body=_fill(key, language, values, code),
                message_class=message_class,
                subject_type=subject_type,
                subject_id=subject_id,
                dedupe_key=f"{once_as or key}:{subject_type}:{subject_id}:{version}:{household}",
                not_before=not_before,
                valid_until=valid_until,
                queued_as=queued_as,
            )
        )
    written: int = outbox.enqueue(uow.session, messages)
    if payer is not None and written:
        # what only stood there already was counted when it was written
        new = messages if written == len(messages) else messages[:written]
        budgets.charge(uow, _sizes(new, payer), subject)
    return written


def _sizes(messages: Iterable[Outgoing], payer: int | Mapping[int, int]) -> dict[int, list[int]]:
    """The segments of each text, by who pays for it."""
    sizes: dict[int, list[int]] = {}
    for message in messages:
        pays = payer.get(message.recipient_id) if isinstance(payer, Mapping) else payer
        if pays is not None:
            sizes.setdefault(pays, []).append(segments(message.body).count)
    return sizes
