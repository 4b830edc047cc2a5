"""What confirmed time comes to, by organiser, base and class; and whose is left out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from coordination.ground import clock
from tests.build.outing import DAY, FRIDAY, HOUR, Outing

Visit = Callable[[str], FlaskClient]


@pytest.fixture
def served(stage: Outing) -> Outing:
    """Eight hours of a mother of two in 3(2) and four of one in school B count; a third is not confirmed."""
    session = stage.plan(helpers=4)
    stage.enrol(session)
    need = stage.world.things[f"need-{session}"]
    for role, minutes in (("guardian", 480), ("guardian_b", 240), ("volunteer", None)):
        stage.sql(
            "insert into shift_time (assignment_id, need_id, person_id, in_at, out_at, minutes,"
            " confirmed_at) values (:a, :n, :p, :i, :o, :m, case when cast(:m as bigint) is null then null else"
            " cast(:o as timestamptz) end)",
            a=stage.take(session, role),
            n=need,
            p=stage.world.people[role],
            i=FRIDAY,
            o=FRIDAY + 8 * HOUR,
            m=minutes,
        )
    clock.travel_to(FRIDAY + DAY)
    return stage


def rows(client: FlaskClient, by: str) -> dict[str, tuple[str, str, str]]:
    answer = client.get(f"/shifts/sums.csv?by={by}")
    assert answer.status_code == 200
    _, *found = csv.reader(io.StringIO(answer.data.decode("utf-8-sig")))
    return {name: (people, times, minutes) for _, name, people, times, minutes, _ in found}


@pytest.mark.usefixtures("served")
def test_the_district_sees_all_that_is_confirmed(visit: Visit) -> None:
    client = visit("coordinator")
    assert rows(client, "organiser") == {"district": ("2", "2", "720")}
    assert rows(client, "base") == {"partner_p": ("2", "2", "720")}
    assert rows(client, "class") == {
        "school_a 三（2）班": ("1", "1", "480"),
        "school_b 三（2）班": ("1", "1", "240"),
    }


@pytest.mark.usefixtures("served")
def test_a_school_sees_its_own_families_alone(visit: Visit) -> None:
    client = visit("school_admin")
    assert rows(client, "organiser") == {"district": ("1", "1", "480")}
    assert rows(client, "class") == {"school_a 三（2）班": ("1", "1", "480")}
    page = client.get("/shifts/sums?by=class").get_data(as_text=True)
    assert "8小时" in page
    assert "王敏" not in page


@pytest.mark.usefixtures("served")
def test_a_name_is_never_a_formula(served: Outing, visit: Visit) -> None:
    served.sql("update organisation set name_zh = '=1+1' where code = 'partner_p'")
    assert "'=1+1" in rows(visit("coordinator"), "base")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("role", ["teacher", "guardian", "partner", "volunteer"])
def test_others_see_no_sums(visit: Visit, role: str) -> None:
    assert visit(role).get("/shifts/sums").status_code == 403
