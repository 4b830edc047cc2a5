"""Which messages a gateway that takes no text knows: the table beside the wordings, filled in.

The ids belong to an account, so each installation has its own copy. Must not know which gateway.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordination.ground.text import LANGUAGES
from coordination.reactions.notices import wording
from notifications.templates import placeholders

TABLE = Path(__file__).parent / "messages" / "templates.toml"
STATES = ("draft", "submitted", "approved", "rejected")


class BadTable(ValueError):
    """The table of templates cannot be used; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Template:
    """One message in one language, as the gateway's account knows it."""

    key: str
    language: str
    id: str
    state: str
    values: frozenset[str]

    @property
    def usable(self) -> bool:
        """Whether a message may go by it."""
        return bool(self.id) and self.state == "approved"


def read(path: Path = TABLE) -> list[Template]:
    """All messages of the product, as this table knows them; BadTable if it cannot be used."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadTable(f"{path} cannot be read as TOML: {type(error).__name__}.") from error
    return [_template(path, table, key, lang) for key in sorted(keys()) for lang in LANGUAGES]


def keys() -> set[str]:
    """The keys of all messages."""
    return {folder.name for folder in TABLE.parent.iterdir() if folder.is_dir()}


def needed(key: str, language: str) -> frozenset[str]:
    """The values that a wording names, as a gateway gets them."""
    return frozenset(
        "code" if name == "open" else name for name in placeholders(wording(key, language))
    )


def to_submit(key: str, language: str, site: str) -> str:
    """The text to hand in for approval: without the signature, which the gateway puts first."""
    signature, text = re.fullmatch(r"([【\[].*?[】\]])?\s*(.*)", wording(key, language)).groups()  # type: ignore[union-attr]
    if signature and "{" in signature:
        text = f"{signature[1:-1]}{'：' if language == 'zh' else ': '}{text}"
    opening = (
        f"打开 {site} 输入 {{code}}" if language == "zh" else f"Open {site} and enter {{code}}"
    )
    return re.sub(r"\{(\w+)\}", r"${\1}", text.replace("{open}", opening))


def _template(path: Path, table: dict[str, Any], key: str, language: str) -> Template:
    entry = table.get(key, {})
    given = entry.get(language, {}) if isinstance(entry, dict) else None
    values = entry.get("values", []) if isinstance(entry, dict) else None
    if not isinstance(given, dict) or not isinstance(values, list):
        raise BadTable(f"{path}: [{key}] is not as in the table that comes with the product.")
    state, number = given.get("state", "draft"), given.get("id", "")
    if state not in STATES or not isinstance(number, str):
        raise BadTable(
            f"{path}: [{key}] {language} needs a text as id and a state of {', '.join(STATES)}."
        )
    if stranger := set(map(str, values)) - needed(key, language):
        raise BadTable(f"{path}: [{key}] names {min(stranger)}, which the message does not have.")
    return Template(key, language, number, state, frozenset(map(str, values)))
