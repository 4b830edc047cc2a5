"""Human text in both languages, and the cleaning of text that people type.

Chinese and English are written side by side where they are used; neither is a gloss of the other.
Must not know where a text is shown.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


# zero-width spaces, soft hyphens and marks that turn the direction of what follows; the joiners
# U+200C and U+200D stay, Uyghur and emoji are written with them
_DROPPED = "\u00ad\u200b\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence or label in both languages."""

    zh: str
    en: str

    def in_(self, language: str) -> str:
        """The text in `language`; Chinese for anything but ``en``."""
        return self.en if language == "en" else self.zh

    def format(self, **values: object) -> Text:
        """Both languages with the same values filled in."""
        return Text(self.zh.format(**values), self.en.format(**values))


def clean(value: str, *, lines: bool = False) -> str:
    """`value` in NFC without control characters, trimmed; line breaks are kept only if `lines`.

    Rare characters, U+00B7 and emoji survive: names are not to be judged by a character set. What
    nobody can see is nothing: an invisible title or signature counts as not filled in.
    """
    kept = "".join(
        c
        for c in unicodedata.normalize("NFC", value)
        if (lines and c == "\n")
        or (unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"} and c not in _DROPPED)
    )
    if all(unicodedata.category(c) in {"Cf", "Zs", "Mn"} or c == "\n" for c in kept):
        return ""
    return kept.strip()


def half_width(value: str) -> str:
    """Full-width digits, letters and signs folded to their ASCII forms (for phones, codes, dates)."""
    return unicodedata.normalize("NFKC", value).strip()


def mask_name(name: str) -> str:
    """A child's name as shown to who only needs to recognise it: 王*雨, 王*, J*** S."""
    if not name:
        return ""
    if len(name) == 1:
        return name
    if len(name) == 2:
        return name[0] + "*"
    return name[0] + "*" * min(2, len(name) - 2) + name[-1]
