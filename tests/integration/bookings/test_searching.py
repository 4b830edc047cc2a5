"""Finding a venue: by size, distance, grade, words and day, with what is still free."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from coordination.domain.bookings import queries
from coordination.domain.bookings.models import OpeningRule, Resource
from coordination.domain.people.models import CalendarDay, Organisation
from coordination.ground.errors import NotFound
from tests.integration.bookings.conftest import FRIDAY, HOUR, NOW, ZONE, Stage

SCHOOL = (22.7532, 113.9401)


@pytest.fixture
def venues(stage: Stage) -> dict[str, int]:
    """Near, far and nowhere; small, for older children, a draft."""
    made = {}
    with Session(stage.engine) as session:
        lat, lng = SCHOOL
        session.execute(
            update(Organisation)
            .where(Organisation.id == stage.world.things["school_a"])
            .values(lat=lat, lng=lng)
        )
        session.execute(update(Resource).values(lat=lat + 0.01, lng=lng))  # 1.1 km
        for name, values in {
            "next door": {"lat": lat, "lng": lng + 0.001},
            "far": {"lat": lat, "lng": lng + 0.1},  # 10.3 km
            "nowhere": {},
            "small": {"capacity_max": 10},
            "grade 6 100%": {"grades": [6]},
            "draft": {"publish_state": "draft"},
        }.items():
            resource = Resource(
                owner_id=stage.world.things["partner_q"],
                kind="space",
                title_zh=name,
                title_en=name,
                **{"capacity_max": 40, **values},
            )
            session.add(resource)
            session.flush()
            made[name] = resource.id
            session.add(
                OpeningRule(resource_id=resource.id, weekday=4, opens="09:00", closes="17:00")
            )
        session.commit()
    return made


def names(stage: Stage, role: str = "teacher", **asked: object) -> list[str]:
    with Session(stage.engine) as session:
        given = {"day": None, "people": 30, "now": NOW, "zone": ZONE, **asked}
        found = queries.search_resources(session, stage.actor(role), **given)  # type: ignore[arg-type]
        return [f.resource.title_en for f in found]


def test_the_nearest_comes_first_and_what_stands_nowhere_last(
    stage: Stage, venues: dict[str, int]
) -> None:
    found = names(stage)
    assert found[:3] == ["next door", "Pottery studio", "far"]
    assert set(found[3:]) == {"nowhere", "grade 6 100%"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"max_km": 2}, {"next door", "Pottery studio"}),
        ({"max_km": 11}, {"next door", "Pottery studio", "far"}),
        ({"grade": 6, "text": "grade"}, {"grade 6 100%"}),
        ({"grade": 3, "text": "grade"}, set()),
        ({"text": "100%"}, {"grade 6 100%"}),
        ({"text": "%"}, {"grade 6 100%"}),
        ({"text": "_"}, {"Pottery studio", "next door", "far", "nowhere", "grade 6 100%"}),
        ({"people": 41}, set()),
        ({"people": 5, "text": "small"}, {"small"}),
        ({"kind": "expert"}, set()),
        ({"text": "draft"}, set()),
    ],
)
def test_each_filter_keeps_what_fits(
    stage: Stage, venues: dict[str, int], asked: dict[str, object], expected: set[str]
) -> None:
    # the owners' codes have an underscore in them: it is searched as a sign, not as "anything"
    assert set(names(stage, **asked)) == expected


def test_distance_in_sql_is_the_great_circle(stage: Stage, venues: dict[str, int]) -> None:
    with Session(stage.engine) as session:
        found = queries.search_resources(
            session, stage.actor("teacher"), day=None, people=30, now=NOW, zone=ZONE
        )
        km = {f.resource.title_en: f.km for f in found}
    assert km["far"] == pytest.approx(10.25, abs=0.05)
    assert km["Pottery studio"] == pytest.approx(1.112, abs=0.005)
    assert km["nowhere"] is None


def test_on_a_chosen_day_what_is_full_stands_last(stage: Stage, venues: dict[str, int]) -> None:
    for start, hours in ((FRIDAY - 5 * HOUR, 4), (FRIDAY - HOUR, 4)):
        stage.request(start, hours=hours, resource=venues["next door"], key=str(start))
    found = names(stage, day=FRIDAY.date())
    assert found[-1] == "next door"


def test_free_slots_follow_bookings_and_the_districts_calendar(stage: Stage) -> None:
    stage.request(FRIDAY)
    with Session(stage.engine) as session:
        resource = session.get_one(Resource, stage.resource_id)

        def starts(day_offset: int = 0) -> list[str]:
            day = FRIDAY.date() + timedelta(days=day_offset)
            found = queries.free_slots(session, resource, day, minutes=120, now=NOW, zone=ZONE)
            return [f"{s.starts_at:%H}" for s in found]

        assert starts() == ["09", "10", "11", "12"]
        assert starts(7) == ["09", "10", "11", "12", "13", "14", "15"]
        session.add(
            CalendarDay(
                org_id=stage.world.things["district"],
                day=FRIDAY.date(),
                kind="holiday",
                name_zh="运动会",
                name_en="Sports day",
            )
        )
        session.flush()
        assert starts() == []


def test_drafts_are_their_owners_alone(stage: Stage, venues: dict[str, int]) -> None:
    with Session(stage.engine) as session:
        queries.resource_of(session, stage.actor("partner_b"), venues["draft"])
        for stranger in ("teacher", "partner", "coordinator", "guardian"):
            with pytest.raises(NotFound):
                queries.resource_of(session, stage.actor(stranger), venues["draft"])


def test_each_side_sees_its_own_bookings_only(stage: Stage) -> None:
    booking = stage.request()
    with Session(stage.engine) as session:
        seen = {
            role
            for role in stage.world.people
            if role not in ("child", "child_b")
            and [x.booking.id for x in queries.bookings_of(session, stage.actor(role))] == [booking]
        }
        waiting = {
            role: len(queries.bookings_awaiting(session, stage.actor(role)))
            for role in ("partner", "partner_b", "teacher")
        }
    assert seen == {"teacher", "school_admin", "partner", "district_admin", "coordinator"}
    assert waiting == {"partner": 1, "partner_b": 0, "teacher": 0}


def test_the_owner_sees_what_else_happens_that_day(stage: Stage) -> None:
    first, second = stage.request(FRIDAY), stage.request(FRIDAY - 3 * HOUR)
    with Session(stage.engine) as session:
        lines = queries.bookings_awaiting(session, stage.actor("partner"))
        near = queries.neighbours_of(session, stage.actor("partner"), lines, ZONE)
        assert [n.slot.starts_at for n in near[first]] == [FRIDAY - 3 * HOUR]
        assert [n.slot.starts_at for n in near[second]] == [FRIDAY]
        hidden = queries.neighbours_of(session, stage.actor("teacher"), lines, ZONE)
    assert hidden == {first: [], second: []}
