"""Count SMS segments exactly as Twilio bills them. Must not know templates or prices."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|€")
SEGMENT_BITS = 1120
HEADER_BITS = 48
# anything but what is one unit and stands alone: Latin, general punctuation, Chinese, full width
COMPOSED = re.compile(
    r"[^\n\r -\u02ff\u2010-\u2027\u3000-\u3029\u3030-\u3098\u309b-\u9fff\uff00-\uffef]"
)


@dataclass(frozen=True, slots=True)
class Segments:
    """Encoding, number of segments and number of code units of a text."""

    encoding: Literal["GSM-7", "UCS-2"]
    count: int
    units: int


def segments(body: str) -> Segments:
    """Return how the text is encoded and into how many segments it falls."""
    gsm = all(char in GSM_BASIC or char in GSM_EXTENDED for char in body)
    if gsm:
        sizes = [14 if char in GSM_EXTENDED else 7 for char in body]
        return Segments("GSM-7", _pack(sizes), sum(sizes) // 7)
    if not COMPOSED.search(body):
        return Segments("UCS-2", 1 if len(body) <= 70 else -(-len(body) // 67), len(body))
    sizes = [8 * len(cluster.encode("utf-16-le")) for cluster in _clusters(body)]
    return Segments("UCS-2", _pack(sizes), sum(sizes) // 16)


def _clusters(body: str) -> list[str]:
    """Keep together what a reader sees as one character: Twilio never splits an emoji."""
    clusters: list[str] = []
    for char in body:
        if clusters and _continues(clusters[-1], char):
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters


def _continues(cluster: str, char: str) -> bool:
    code = ord(char)
    if cluster[-1] == "\u200d" or char == "\u200d":
        return True
    if 0x1F1E6 <= code <= 0x1F1FF:
        return len(cluster) == 1 and 0x1F1E6 <= ord(cluster) <= 0x1F1FF
    skin_tone = 0x1F3FB <= code <= 0x1F3FF
    tag = 0xE0020 <= code <= 0xE007F
    return skin_tone or tag or unicodedata.category(char) in {"Mn", "Me"}


def _pack(sizes: list[int]) -> int:
    """Fill segments in order; a character is never split over two of them."""
    if not sizes:
        return 0
    if sum(sizes) <= SEGMENT_BITS:
        return 1
    room = SEGMENT_BITS - HEADER_BITS
    count, used = 1, 0
    for size in sizes:
        if used + size > room:
            count, used = count + 1, 0
        used += size
    return count
