"""Which blueprints exist, and which URL is open to whom.

Who may reach a single view is written at the view (`@guard`); the columns here say whom a whole
blueprint serves. A new blueprint is one line. `routes.py` of each holds its `bp`.
"""

from __future__ import annotations

from importlib import import_module

from flask import Blueprint

BLUEPRINTS: tuple[tuple[str, str], ...] = (
    # name            whom it serves
    ("home", "everybody: front page, short codes; staff: today"),
    ("accounts", "everybody: sign-in; signed-in persons: their account"),
    ("admin", "district administration and data officers: /admin"),
    ("bookings", "staff: /venues, search and book; partners: their inbox and calendar"),
    ("communication", "staff: /notices; guardians by code or signed in: their own copy"),
    ("family", "guardians: /family, what waits and what is coming"),
    ("care", "guardians: a child's card and collectors; leaders on the day: what is in them"),
    ("calendars", "signed-in persons: month, week and list under /calendars"),
    ("feeds", "signed-in persons: /calendars; calendar clients with a secret: /c/<token>.ics"),
    ("people", "staff: /people, classes, roles; district: roster imports"),
    ("practice", "staff and bases: /activities; guardians: their children's"),
    ("hours", "guardians and staff: /hours, practice hours of children; district: the rule"),
    ("readiness", "staff: what a session lacks; district: adults for children"),
    ("headcount", "staff, and helpers of the day: /activities/sessions/<id>/day"),
    ("reminders", "district, school administrators, coordinators: rules of reminders"),
    ("consents", "guardians by code or signed in: /consents"),
    ("verify", "everybody: /verify, whether a certificate of volunteer service stands"),
    ("volunteering", "signed-in persons: /shifts; staff and bases: codes and times of a shift"),
    ("health", "machines: /healthz /readyz"),
    ("webhooks", "providers that sign what they send: /webhooks"),
    ("simulator", "development only: /simulator"),
    ("styleguide", "development only: /styleguide"),
)


def blueprints() -> list[Blueprint]:
    """All blueprints, in the order of the list."""
    return [import_module(f"{__name__}.{name}.routes").bp for name, _ in BLUEPRINTS]
