"""Texts that people send back: what they ask for, and that each is heard once.

Only a word that stands alone is an order; "请不要停课" is not "停". Must not know who sent it.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from notifications.models import InboundText

Kind = Literal["stop", "start", "other"]

# the carriers' own words in China, then those that providers of texts know everywhere
STOP = frozenset(
    {
        *("t", "td", "r", "退订", "拒收", "取消订阅"),
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit"),
    }
)
START = frozenset({"恢复", "恢复订阅", "订阅", "start", "unstop", "yes"})
# to these the provider answers by itself, and it may block whatever we would answer
ANSWERED_BY_PROVIDER = frozenset(
    {
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit"),
        *("start", "unstop", "yes"),
    }
)


def word_of(body: str) -> str:
    """The text as a word: full-width letters narrow, small, without blanks, marks and quotes."""
    narrow = unicodedata.normalize("NFKC", body).casefold()
    return "".join(c for c in narrow if unicodedata.category(c)[0] in "LN")


def kind_of(word: str) -> Kind:
    """What the word asks for."""
    return "stop" if word in STOP else "start" if word in START else "other"


def heard(session: Session, channel: str, provider_id: str, kind: Kind, at: datetime) -> bool:
    """Note that a text came in; False if it was heard before.

    Two reports of one text wait for each other here: the second sees what the first has done.
    """
    done = session.execute(
        insert(InboundText)
        .values(channel=channel, provider_id=provider_id, kind=kind, at=at)
        .on_conflict_do_nothing(index_elements=["channel", "provider_id"])
        .returning(InboundText.id)
    )
    return done.first() is not None


def forget(session: Session, older_than: datetime) -> int:
    """Forget old notes, for no provider repeats a report after so long; how many."""
    gone = session.execute(
        delete(InboundText).where(InboundText.at < older_than).returning(InboundText.id)
    )
    return len(gone.all())
