"""The product's own source files as trees, for the tests of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("coordination", "notifications", "calendars")


@cache
def files(*folders: str) -> tuple[Path, ...]:
    """Python files below the given folders (the product's packages if none is given)."""
    return tuple(
        path for folder in folders or PACKAGES for path in sorted((ROOT / folder).rglob("*.py"))
    )


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def short(path: Path) -> str:
    """The path as one writes it in the repository."""
    return path.relative_to(ROOT).as_posix()


def calls(path: Path, *names: str) -> Iterator[ast.Call]:
    """Calls of a method or function with one of these names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in names:
                yield node
