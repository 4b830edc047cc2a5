"""Which calendar program fetched a feed, told by what it calls itself, and how often it comes.

Must not know whose feed it is. What is not recognised keeps the first word it said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Client:
    """A program: a key for texts, the name people know, and how long it may stay away."""

    key: str
    name: str
    usual: timedelta


_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
# the first that fits; Apple's own words come late because others quote them
_KNOWN = (
    (re.compile(r"Google-Calendar|Google Calendar", re.I), Client("google", "Google", _DAY)),
    (
        re.compile(r"Microsoft|Outlook|Exchange|Office", re.I),
        Client("outlook", "Outlook", _DAY),
    ),
    (re.compile(r"Thunderbird", re.I), Client("thunderbird", "Thunderbird", _HOUR)),
    (re.compile(r"Evolution", re.I), Client("evolution", "Evolution", _HOUR)),
    (re.compile(r"ICSx5|ICSdroid", re.I), Client("icsx5", "ICSx⁵", _DAY)),
    (re.compile(r"DAVx5", re.I), Client("davx5", "DAVx⁵", _DAY)),
    (re.compile(r"Nextcloud", re.I), Client("nextcloud", "Nextcloud", _DAY)),
    (re.compile(r"vdirsyncer", re.I), Client("vdirsyncer", "vdirsyncer", _DAY)),
    (re.compile(r"Xiaomi|MIUI", re.I), Client("xiaomi", "小米", _DAY)),
    (re.compile(r"HUAWEI|HarmonyOS|HONOR", re.I), Client("huawei", "华为", _DAY)),
    (
        re.compile(r"dataaccessd|CalendarAgent|CalendarUI|\biOS/|\bmacOS/|Mac_OS_X", re.I),
        Client("apple", "Apple", _HOUR),
    ),
    (re.compile(r"^(Mozilla|Opera)/", re.I), Client("browser", "浏览器 Browser", _DAY)),
)


def recognise(user_agent: str) -> Client:
    """The program behind a User-Agent."""
    for pattern, client in _KNOWN:
        if pattern.search(user_agent):
            return client
    word = re.split(r"[/ (;]", user_agent.strip(), maxsplit=1)[0][:40]
    return Client("other", word or "—", _DAY)
