"""Goes through the site as somebody does, link by link, and notes what is poor about each page.

A page counts once per person, whatever its number in the address. Knows no page by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import ConsoleMessage, Page
from werkzeug.exceptions import HTTPException

WIDTHS = {"phone": 375, "desktop": 1280}
HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_AXE = {"resultTypes": ["violations"]}

# What is seen and not marked as being in Chinese; what people typed is taken out by the caller.
_VISIBLE_TEXT = """() => {
  const found = [], nodes = document.createTreeWalker(document, NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) {
    const text = nodes.currentNode.textContent.trim(), holder = nodes.currentNode.parentElement;
    if (!text || !holder || holder.closest("script, style, option:not(:checked), textarea")) continue;
    if ((holder.closest("[lang]")?.lang || "").startsWith("zh")) continue;
    found.push(text);
  }
  for (const one of document.querySelectorAll("[aria-label], [placeholder], [alt], [data-done]"))
    for (const name of ["aria-label", "placeholder", "alt", "data-done"])
      if (one.getAttribute(name)) found.push(one.getAttribute(name));
  return found;
}"""


@dataclass
class Walk:
    """One person's way through the site."""

    page: Page
    app: Flask
    # strings of Chinese that are names or written by people, longest first
    written: tuple[str, ...]
    # pages that have been looked at closely already, by whomever
    known: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)
    pictures: Path | None = None

    def __post_init__(self) -> None:
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.noise.append(message.text)

    def through(self, starts: Iterable[str]) -> None:
        """Visit every page that can be reached from `starts`, each once."""
        waiting = list(starts)
        while waiting:
            path = waiting.pop(0)
            name = self._endpoint(path)
            if name is None or name in self.seen:
                continue
            self.seen.add(name)
            waiting += self._visit(path, name)

    def _endpoint(self, address: str) -> str | None:
        """Which page of ours an address is, if it is one."""
        parts = urlsplit(address)
        if parts.netloc or not parts.path.startswith("/"):
            return None
        try:
            name, _ = self.app.url_map.bind("").match(parts.path, "GET")
        except HTTPException:
            return None
        return str(name) if name not in NOT_PAGES else None

    def _visit(self, path: str, name: str) -> list[str]:
        close = name not in self.known
        status = self._open(path, "zh")
        if status in (401, 403, 404):
            # somebody else's page
            self.seen.discard(name)
            return []
        if status != 200:
            self.findings.append(f"{path}: answered {status}")
            return []
        self.known.add(name)
        links = self.page.eval_on_selector_all(
            "a[href]", "all => all.map(a => a.getAttribute('href'))"
        )
        self._look(path, "zh", "phone")
        if close:
            self._look(path, "zh", "desktop")
        self._open(path, "en")
        self._read_english(path)
        self._look(path, "en", "desktop")
        if close:
            self._look(path, "en", "phone")
        return [str(link) for link in links]

    def _open(self, path: str, language: str) -> int:
        self.noise.clear()
        joint = "&" if "?" in path else "?"
        answer = self.page.goto(f"{path.partition('#')[0]}{joint}lang={language}")
        status = answer.status if answer else 0
        shown = self.page.get_attribute("html", "lang") or ""
        if status == 200 and not shown.startswith(language):
            self.findings.append(f"{path}: asked for {language}, shown in {shown}")
        if status == 200 and self.noise:
            self.findings.append(f"{path} ({language}): the console says {self.noise}")
        return status

    def _look(self, path: str, language: str, width: str) -> None:
        where = f"{path} ({language}, {width})"
        self.page.set_viewport_size({"width": WIDTHS[width], "height": 800})
        self.findings += [f"{where}: {what}" for what in poor(self.page)]
        if self.pictures:
            name = re.sub(r"\W+", "_", path).strip("_") or "front"
            self.page.screenshot(
                path=self.pictures / f"{name}-{width}-{language}.png", full_page=True
            )

    def _read_english(self, path: str) -> None:
        left = chinese_left(self.page, self.written)
        if left:
            self.findings.append(f"{path} (en): Chinese that nobody wrote: {left}")


# addresses that are not read by people, or only lead to a page
NOT_PAGES = {
    "static",
    "feeds.serve",
    "headcount.state",
    "headcount.worker",
    "health.process",
    "health.ready",
    "people.template",
    "calendars.entry_file",
    "communication.add_files",
    "communication.file_by_code",
    "communication.file_together",
    "communication.my_file",
    "home.open_link",
    "home.after_sign_in",
}


def poor(page: Page) -> list[str]:
    """Serious accessibility findings, and sideways scrolling."""
    found = [
        f"{v['id']}: {[n['html'][:160] for n in v['nodes']]}"
        for v in Axe().run(page, options=_AXE).response["violations"]
        if v["impact"] in {"serious", "critical"}
    ]
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if wider > 0:
        found.append(f"{wider} px too wide")
    return found


def chinese_left(page: Page, written: Iterable[str]) -> list[str]:
    """Chinese on an English page that is not among what people have `written`."""
    left = []
    for shown in page.evaluate(_VISIBLE_TEXT):
        rest = shown
        if HAN.search(rest):
            for known in written:
                rest = rest.replace(known, "")
        if HAN.search(rest):
            left.append(shown[:80])
    return left
