"""`--propose` writes the measured verdicts over the file, to be read before they are committed."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--propose", action="store_true", help="write tests/matrix/verdicts.txt")
