"""The wordings as wholes: which there are, how each reads, what is handed in for approval, its version.

Must not know who is told what, nor which gateway approves.
"""

from __future__ import annotations

import hashlib
import re

from coordination.reactions.notices import Route, spaced, wording
from coordination.reactions.variables import MESSAGES, SAMPLES
from notifications import templates

SAMPLE_CODE = "7K3QX9MD2F"
_SIGNED = re.compile(r"([【\[].*?[】\]])?\s*(.*)", re.DOTALL)


def messages() -> list[str]:
    """The keys of all messages."""
    return sorted(folder.name for folder in MESSAGES.iterdir() if folder.is_dir())


def needed(key: str, language: str) -> frozenset[str]:
    """The values that a wording names, as a gateway gets them."""
    return places_of(wording(key, language))


def places_of(text: str) -> frozenset[str]:
    """The same of any text."""
    return frozenset("code" if name == "open" else name for name in templates.placeholders(text))


def reads(text: str, language: str, route: Route) -> str:
    """How a wording reads with the values that its places usually hold."""
    named = templates.placeholders(text)
    values = {n: SAMPLES[n].in_(language) for n in named if n in SAMPLES}
    values["open"] = route.opening(SAMPLE_CODE, language)
    return templates.render(text, {n: values[n] for n in named if n in values}, named)


def sample_of(key: str, name: str, language: str) -> str:
    """What a gateway usually gets for a place of a message."""
    opens = name == "code" and "open" in templates.placeholders(wording(key, language))
    return spaced(SAMPLE_CODE) if opens else SAMPLES[name].in_(language)


def to_submit(text: str, language: str, site: str) -> str:
    """The text to hand in for approval: without the signature, which the gateway puts first."""
    found = _SIGNED.fullmatch(text)
    assert found is not None
    signature, rest = found.groups()
    if signature and "{" in signature:
        rest = f"{signature[1:-1]}{'：' if language == 'zh' else ': '}{rest}"
    opening = (
        f"打开 {site} 输入 {{code}}" if language == "zh" else f"Open {site} and enter {{code}}"
    )
    return re.sub(r"\{(\w+)\}", r"${\1}", rest.replace("{open}", opening))


def version_of(key: str, language: str, site: str) -> str:
    """A name for exactly this text: an approval of another one does not count for it."""
    handed_in = to_submit(wording(key, language), language, site)
    return hashlib.sha256(handed_in.encode()).hexdigest()[:8]


def site_of(public_url: str) -> str:
    """The site as a text names it."""
    return public_url.rstrip("/").split("://", 1)[-1]
