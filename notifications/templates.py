"""Render `{placeholder}` texts from an allow-list. Must not know languages or channels.

`str.format` is not used: `{name.__class__}` in a template would reach into objects.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping

from notifications.errors import TemplateRefused

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def placeholders(template: str) -> frozenset[str]:
    """Return the variables that a template names."""
    return frozenset(_PLACEHOLDER.findall(template))


def refuse_unknown_variables(template: str, allowed: Collection[str]) -> None:
    """Raise if a template names a variable outside the allow-list or has a stray brace."""
    unknown = placeholders(template) - set(allowed)
    if unknown:
        raise TemplateRefused(f"variables not allowed: {', '.join(sorted(unknown))}")
    rest = _PLACEHOLDER.sub("", template)
    if "{" in rest or "}" in rest:
        raise TemplateRefused("a brace that is not part of a {variable}")


def render(template: str, params: Mapping[str, str], allowed: Collection[str]) -> str:
    """Fill a template; a missing, empty or unknown variable is refused, never printed raw."""
    refuse_unknown_variables(template, allowed)
    named = placeholders(template)
    unknown = set(params) - set(allowed)
    if unknown:
        raise TemplateRefused(f"values not allowed: {', '.join(sorted(unknown))}")
    values = {name: clean(params.get(name, "")) for name in named}
    missing = sorted(name for name, value in values.items() if not value)
    if missing:
        raise TemplateRefused(f"values missing: {', '.join(missing)}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def clean(value: str) -> str:
    """Strip control and direction characters, and join lines: a value is one line of text."""
    spaced = re.sub(r"[\r\n\t\u2028\u2029]+", " ", value)
    kept = "".join(
        char
        for char in spaced
        # joiners belong to emoji and to some scripts; the other format characters can hide text
        if char in "\u200c\u200d" or unicodedata.category(char) not in {"Cc", "Cf", "Co", "Cs"}
    )
    return kept.strip()
