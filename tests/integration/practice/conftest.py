"""The outing, on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.build.outing import Outing, outing


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    """Two classes, their families, the coordinator and the base."""
    with outing(fresh_url) as made:
        yield made
