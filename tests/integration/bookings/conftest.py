"""A district with one class, one pottery studio and its owner, on a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, create_engine, delete
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.domain.bookings import services
from coordination.domain.bookings.models import Booking, BookingOccurrence
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from tests.build import world as worlds

T = TypeVar("T")
ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
FRIDAY = datetime(2026, 12, 4, 14, 0, tzinfo=ZONE)
HOUR = timedelta(hours=1)


@dataclass
class Stage:
    """The people, the things and short ways to act."""

    engine: Engine
    world: worlds.World

    @property
    def resource_id(self) -> int:
        return self.world.things["resource"]

    def actor(self, role: str) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.now().date())

    def act(self, role: str, use: Callable[[UnitOfWork], T]) -> T:
        actor = self.actor(role)
        with Session(self.engine) as session, begin(session, actor) as uow:
            return use(uow)

    def request(
        self,
        starts_at: datetime = FRIDAY,
        *,
        role: str = "teacher",
        key: str | None = None,
        hours: float = 2,
        weeks: int = 1,
        resource: int | None = None,
        class_id: int | None = None,
    ) -> int:
        return self.act(
            role,
            lambda uow: (
                services.request_booking(
                    uow,
                    resource_id=resource or self.resource_id,
                    starts_at=starts_at,
                    ends_at=starts_at + timedelta(hours=hours),
                    class_id=class_id or self.world.things["class_a"],
                    children=30,
                    adults=2,
                    purpose="拉坯与彩绘",
                    needs="1 名轮椅使用者",
                    request_key=key or f"key-{starts_at.isoformat()}-{role}-{resource}-{hours}",
                    weeks=weeks,
                    zone=ZONE,
                ).id
            ),
        )

    def booking(self, booking_id: int) -> Booking:
        with Session(self.engine, expire_on_commit=False) as session:
            return session.get_one(Booking, booking_id)

    def times(self, booking_id: int) -> list[BookingOccurrence]:
        with Session(self.engine, expire_on_commit=False) as session:
            return (
                session.query(BookingOccurrence)
                .filter_by(booking_id=booking_id)
                .order_by(BookingOccurrence.starts_at, BookingOccurrence.resource_id)
                .all()
            )


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Stage]:
    """The world, without the booking it comes with; the clock stands at NOW."""
    clock.travel_to(NOW)
    engine = create_engine(fresh_url, pool_size=20, max_overflow=60)
    with Session(engine) as session:
        world = worlds.build(session, NOW)
        session.execute(delete(Booking))
        session.commit()
    yield Stage(engine, world)
    engine.dispose()
