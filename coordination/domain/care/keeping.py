"""How long a card is kept, and when a family is asked whether it still holds. Pure decisions."""

from __future__ import annotations

from datetime import date, datetime, timedelta

# a school year and the first weeks of the next one, in which a card is usually confirmed
MONTHS_UNCONFIRMED = 13
UNCONFIRMED = timedelta(days=396)
# children outgrow a dose and an allergy in less than that
ASKED_AGAIN = timedelta(days=183)
# as long as a card could be asked about
LOOKS_KEPT = UNCONFIRMED


def kept_until(confirmed_at: datetime) -> datetime:
    """When a card is erased if nobody confirms it before."""
    return confirmed_at + UNCONFIRMED


def asks_again(confirmed_on: date, today: date, term_began: date | None) -> bool:
    """Whether a family should look at its card: a term has begun since, or half a year is over."""
    new_term = term_began is not None and confirmed_on < term_began <= today
    return new_term or today - confirmed_on >= ASKED_AGAIN
