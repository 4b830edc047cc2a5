"""The one-page tables of the product are complete: actions, events, routes, messages, URLs."""

from __future__ import annotations

import ast
from importlib import import_module
from inspect import isclass

import pytest
from flask import Flask

from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.policy import POLICY
from coordination.blueprints import BLUEPRINTS
from coordination.ground.events import Event
from coordination.reactions import notices
from coordination.reactions.table import HANDLERS, SILENT
from coordination.reactions.variables import SAMPLES
from coordination.settings import Settings
from coordination.web.guards import access_of
from notifications import templates
from tests.house.source import ROOT, files, short, tree

MESSAGES = ROOT / "coordination" / "reactions" / "messages"


def events() -> set[type[Event]]:
    """Every event that any feature declares."""
    found: set[type[Event]] = set()
    for path in files("coordination/domain"):
        if path.stem == "events" or path.parent.name == "events":
            module = import_module(short(path).removesuffix(".py").replace("/", "."))
            found |= {
                thing
                for thing in vars(module).values()
                if isclass(thing) and issubclass(thing, Event) and thing is not Event
            }
    return found


def test_every_action_has_a_rule_and_no_rule_is_left_over() -> None:
    assert set(POLICY) == set(Action)


def test_every_action_is_asked_somewhere() -> None:
    asked = {
        node.attr
        for path in files("coordination")
        if short(path) not in {"coordination/authz/actions.py", "coordination/authz/policy.py"}
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Action"
    }
    assert {action.name for action in Action} - asked == set()


def test_every_event_is_handled_or_silent_with_a_reason() -> None:
    known = set(HANDLERS) | set(SILENT)
    assert {e.__name__ for e in events() - known} == set()
    assert not set(HANDLERS) & set(SILENT)
    assert all(len(reason) > 10 for reason in SILENT.values())


def test_every_event_is_recorded_somewhere() -> None:
    used = {
        node.func.id
        for path in files("coordination")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {e.__name__ for e in events()} - used == set()


@pytest.mark.parametrize("folder", sorted(p.name for p in MESSAGES.iterdir() if p.is_dir()))
def test_every_message_says_the_same_in_both_languages(folder: str) -> None:
    wordings = {lang: notices.wording(folder, lang) for lang in ("zh", "en")}
    names = {lang: set(templates.placeholders(text)) for lang, text in wordings.items()}
    assert names["zh"] == names["en"], "one language knows a value that the other does not"
    for language, text in wordings.items():
        filled = {name: SAMPLES[name] for name in names[language] - {"open"}}
        code = "7K3QX9MD2F" if "open" in names[language] else None
        shown = notices.render(folder, language, filled, code)
        assert shown.strip()
        assert "{" not in shown, text


def test_every_message_is_sent_by_something() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in files("coordination"))
    unused = [p.name for p in MESSAGES.iterdir() if p.is_dir() and f'"{p.name}"' not in source]
    assert unused == []


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(Settings(database_url="postgresql+psycopg://nobody@/none"))


def test_every_route_says_who_may_come(app: Flask) -> None:
    unguarded = [
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and access_of(app, rule.endpoint) is None
    ]
    assert unguarded == []


def test_every_blueprint_folder_is_in_the_list() -> None:
    folders = {
        p.parent.name for p in (ROOT / "coordination" / "blueprints").glob("*/routes.py")
    } | {p.parent.parent.name for p in (ROOT / "coordination" / "blueprints").glob("*/routes/*.py")}
    assert folders == {name for name, _ in BLUEPRINTS}


def test_views_are_named_like_their_templates() -> None:
    """`bookings.hold` renders `bookings/hold.html`; a shared part begins with an underscore."""
    folders = {p.name for p in (ROOT / "coordination" / "templates").iterdir() if p.is_dir()}
    shared = {"layouts", "ui", "errors"}
    assert folders - shared <= {name for name, _ in BLUEPRINTS}
