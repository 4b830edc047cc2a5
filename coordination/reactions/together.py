"""Several notices to one family that are due at one time: one text, whose code opens all of them.

What is urgent, asks for consent or holds a sign-in code is never said together with others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice
from coordination.domain.people import links
from coordination.domain.people.models import Organisation
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions import notices
from notifications.outbox import body_hash
from notifications.values import Outgoing, Pending

KEY = "notices_together"
SUBJECT = "together"
GATHERED = frozenset({"notice", "notice_nudge"})
OPEN_FOR = timedelta(days=60)


def may_gather(template_key: str, message_class: str) -> bool:
    """Notices and reminders of them that could wait."""
    return template_key in GATHERED and message_class in ("info", "confirm")


def gather(
    conn: Connection, families: Sequence[Sequence[Pending]], languages: Collection[str]
) -> list[Outgoing | None]:
    """One text for each family's several notices, if it is in one of these languages.

    The first of the messages stands for all as its subject: the code and the page find the others
    by it.
    """
    able = [family for family in families if family[0].language in languages]
    if not able:
        return [None] * len(families)
    session = Session(bind=conn, join_transaction_mode="create_savepoint")
    about = _notices(session, {m.subject_id for family in able for m in family})
    schools = _names(session, {n.school_id for n in about.values()})
    codes = links.issue_each(
        conn,
        [(family[0].recipient_id, family[0].id) for family in able],
        SUBJECT,
        expires_at=clock.now() + OPEN_FOR,
    )
    said = {f[0].id: _one(f, about, schools, c) for f, c in zip(able, codes, strict=True)}
    return [said.get(family[0].id) for family in families]


def _one(
    family: Sequence[Pending],
    about: Mapping[int, Notice],
    schools: Mapping[int, Text],
    code: str,
) -> Outgoing:
    first = family[0]
    said = list(dict.fromkeys(m.subject_id for m in family))
    senders = dict.fromkeys(schools[about[n].school_id] for n in said)
    params: dict[str, Text | str] = {
        # of several schools none speaks for the others
        "sender": next(iter(senders))
        if len(senders) == 1
        else Text("家校社协同", "School notices"),
        "title": Text(about[said[0]].title_zh, about[said[0]].title_en),
        "count": str(len(said)),
    }
    body = notices.render(KEY, first.language, params, code)
    kept = notices.route().values_kept
    fitted = notices.fitted(KEY, first.language, params)
    return Outgoing(
        recipient_id=first.recipient_id,
        household_key=first.household_key,
        template_key=KEY,
        language=first.language,
        params=notices.values_of(KEY, first.language, fitted, code) if kept else {},
        body=body,
        message_class="confirm" if any(m.message_class == "confirm" for m in family) else "info",
        channel=first.channel,
        subject_type=SUBJECT,
        subject_id=first.id,
        dedupe_key=f"{SUBJECT}:{body_hash(','.join(str(m.id) for m in family))}",
    )


def _notices(session: Session, ids: Collection[int]) -> dict[int, Notice]:
    return {n.id: n for n in session.scalars(select(Notice).where(Notice.id.in_(ids)))}


def _names(session: Session, ids: Collection[int]) -> dict[int, Text]:
    return {
        o.id: Text(o.name_zh, o.name_en)
        for o in session.scalars(select(Organisation).where(Organisation.id.in_(ids)))
    }
