"""The district's office, where rosters are handed in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordination.domain.people.models import Organisation
from coordination.domain.people.roster import batches
from coordination.ground import clock
from tests.build.roster import Office

START = datetime(2026, 9, 2, 1, 0, tzinfo=UTC)


@pytest.fixture
def office(fresh_url: str, tmp_path: Path) -> Iterator[Office]:
    """The office of an empty district."""
    batches.use_zone(ZoneInfo("Asia/Shanghai"))
    clock.travel_to(START)
    engine = create_engine(fresh_url)
    with Session(engine) as session:
        session.add(
            Organisation(kind="district", code="GMQ", name_zh="光明区", name_en="Guangming")
        )
        session.commit()
    handed_in = tmp_path / "handed-in"
    handed_in.mkdir()
    yield Office(engine, handed_in)
    engine.dispose()
