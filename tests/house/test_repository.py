"""What may not stand in the repository: inline scripts, paths of machines, keys, vendored code."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.house.source import ROOT

_INLINE = (
    (re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*\bnonce=)", re.I), "a script without src or nonce"),
    (re.compile(r"<style(?![^>]*\bnonce=)", re.I), "a style element"),
    (re.compile(r"<[a-z][^>]*\sstyle\s*=", re.I), "a style attribute"),
    (re.compile(r"<[a-z][^>]*\son[a-z]+\s*=\s*[\"']", re.I), "an inline handler"),
    (re.compile(r"(?:src|href|action)\s*=\s*[\"']https?://", re.I), "something loaded elsewhere"),
    (re.compile(r"\|\s*safe\b"), "unescaped text"),
)
# constants of the same file, never a value from outside
_MARKUP_OF_OUR_OWN = {"ui/icons.html"}
# written apart, so that this file does not find itself
_MACHINE = re.compile(
    "|".join(
        ("/wo" + r"rk/(?:main|shared)", "/ro" + r"ot/\.", "/ho" + r"me/[a-z]+/", "/Us" + "ers/")
    )
)
_SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|\bSK[0-9a-f]{32}\b|\bghp_[A-Za-z0-9]{30}")


def tracked() -> list[str]:
    """Files of the repository, committed or about to be."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.fail("git is needed to list the repository's files")
    return [name for name in listed if (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    """(name, text) of every text file."""
    found = []
    for name in tracked():
        data = (ROOT / name).read_bytes()
        if b"\0" not in data[:4096]:
            found.append((name, data.decode("utf-8", "replace")))
    return found


def test_templates_carry_no_script_style_or_foreign_address() -> None:
    found = []
    folder = ROOT / "coordination" / "templates"
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        # inside {{ }} and {% %} is Python-like code, not markup
        markup = re.sub(r"\{[{%#].*?[}%#]\}", "", text, flags=re.S)
        for pattern, what in _INLINE:
            ours = what == "unescaped text" and name in _MARKUP_OF_OUR_OWN
            where = text if what == "unescaped text" else markup
            if pattern.search(where) and not ours:
                found.append(f"{name}: {what}")
    assert found == []


def test_the_repository_names_no_machine_and_no_secret() -> None:
    found = [
        f"{name}: {match.group()}"
        for name, text in texts()
        for pattern in (_MACHINE, _SECRET)
        if (match := pattern.search(text))
    ]
    assert found == []


def test_locks_name_no_registry_and_every_package_has_a_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text, f"{name} names a host"
        assert "index-url" not in text
        packages = re.findall(r"^[a-z0-9][^\s;]*==", text, re.M)
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.M)
        unhashed = [b.split()[0] for b in blocks if "==" in b and "--hash=" not in b]
        assert packages
        assert unhashed == []
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")


def test_nothing_of_others_is_committed() -> None:
    assert [n for n in tracked() if "static/vendor/" in n or n.startswith("node_modules/")] == []
    assert [n for n in tracked() if n.startswith("instance/") or n == "uv.lock"] == []


def test_files_are_small_enough_to_review() -> None:
    big = [n for n in tracked() if (ROOT / n).stat().st_size > 1_500_000]
    assert big == []
