"""Every page that somebody of the demo district can reach: readable, in both languages, on a phone too.

Pages are found by following links, so a new page is looked at without being named here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page
from rich.console import Console
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from coordination.domain.communication.files import child_files
from coordination.domain.communication.files.handing_in import Handed
from coordination.domain.communication.notices import services as communication
from coordination.domain.people import links
from coordination.domain.people.actors import actor_of
from coordination.domain.people.contacts import BAD_NUMBER
from coordination.domain.people.corrections import proposing
from coordination.domain.people.models import ContactPoint, Guardianship, Person
from coordination.domain.people.roster import batches
from coordination.domain.people.year import preparing
from coordination.domain.volunteering.models import ServiceCertificate
from coordination.ground import clock
from coordination.ground.text import Text, mask_name
from coordination.reactions.work import begin
from coordination.seed.cards import families_wrote
from coordination.tour import CODE, ROSTER, Story
from scripts.screens import furnish, set_budgets
from tests.browser.conftest import District, Site
from tests.browser.walking import HAN, NOT_PAGES, Walk, chinese_left, poor
from tests.build.papers import pdf

Visitor = Callable[..., Page]

STAFF = ("admin", "coordinator", "lijing", "liufang", "clayhouse", "greenvalley")
PARENTS = ("王小雨", "阿依古丽·买买提")
# whose page is looked at closely first: the one on whose pages there is most to see
OPENED = {
    "consent": "/consents/open/",
    "notice": "/notices/open/",
    "together": "/notices/together/",
}
EVERYBODY = ("nobody", *PARENTS, *STAFF)


@pytest.fixture(scope="module")
def codes(site: Site, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A district in which something goes on; codes that guardians were sent, by what they open."""
    story = Story(engine, site.app.config["SETTINGS"], Console(quiet=True))
    found = furnish(story)
    path = tmp_path_factory.mktemp("roster") / "三年级.csv"
    path.write_bytes(ROSTER.encode("gbk"))
    with Session(engine) as session, begin(session, story.staff("admin")) as uow:
        batches.preview(uow, path=path, name=path.name)
    with Session(engine) as session, session.begin():
        # a number that fails: it is on the class teacher's list, and can be put right
        mother = select(Guardianship.guardian_id).join(Person, Person.id == Guardianship.child_id)
        session.execute(
            update(ContactPoint)
            .where(ContactPoint.person_id.in_(mother.where(Person.name == "高梓萱")))
            .values(suppressed_at=clock.now(), suppressed_reason=BAD_NUMBER)
        )
    # a school's turn of the year in preparation, and a correction that waits for its office
    office = story.staff("liufang")
    with Session(engine) as session, begin(session, office) as uow:
        preparing.begin(uow, school_id=next(iter(office.orgs())), day=clock.now().date())
    with Session(engine) as session:
        kin = session.scalars(
            select(Guardianship)
            .join(Person, Person.id == Guardianship.child_id)
            .where(Person.name == PARENTS[0])
            .order_by(Guardianship.contact_order, Guardianship.id)
        ).first()
        assert kin is not None
        guardian, child = actor_of(session, kin.guardian_id, clock.now().date()), kin.child_id
    for field, typed in (("name_en", "Wang Min"), ("phone", "13700137009")):
        with Session(engine) as session, begin(session, guardian) as uow:
            proposing.propose(
                uow, child_id=child, of_child=False, field=field, typed=typed, reason="passport"
            )
    # two that leave at one time: one text for each family, whose code opens both
    for title in ("周五大扫除", "借阅卡到期"):
        with story.acting(story.staff("lijing")) as uow:
            communication.send_notice(
                uow,
                draft_key=title,
                class_ids=uow.actor.class_ids,
                title=Text(title, title),
                body=Text(title, title),
                level="confirm",
            )
    # a file for each of two children: one draft, and one on the platform
    for key in ("draft", "on-page"):
        with story.acting(story.staff("lijing")) as uow:
            (class_id,) = uow.actor.class_ids
            said: dict[str, Any] = {
                "title": Text("期末学习情况", "Term report"),
                "body": Text("请打开查看。", "Please open it."),
                "level": "confirm",
                "ladder_hours": 24,
                "page_first": True,
            }
            notice = child_files.begin(uow, draft_key=key, class_id=class_id, **said)
            handed = [Handed(f"{name}.pdf", pdf()) for name in PARENTS]
            assert child_files.add(uow, notice_id=notice.id, handed=handed) == []
            if key == "on-page":
                child_files.send(uow, notice_id=notice.id, **said)
    texts = [CODE.findall(t.body)[-1] for t in story.deliver() if CODE.search(t.body)]
    with Session(engine) as session:
        of_several = [c for c in texts if links.open_code(session, c).subject_type == "together"]
    found["together"] = of_several[0]
    with story.acting(story.staff("lijing")) as uow:
        # still going out: it can be watched, and stopped
        going = communication.send_notice(
            uow,
            draft_key="going-out",
            class_ids=uow.actor.class_ids,
            title=Text("明天穿校服", "School uniform tomorrow"),
            body=Text("明天升旗，请穿校服。", "Flag raising tomorrow; please wear the uniform."),
            level="info",
        )
        found["going"] = str(going.id)
    set_budgets(story)
    return found


@pytest.fixture(scope="module")
def district(site: Site, engine: Engine, codes: dict[str, str]) -> District:
    """The same district for those who sign in."""
    return District(site, engine)


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Pages that have been looked at closely."""
    return set()


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_page_of_somebody_is_fit_to_be_read(
    site: Site,
    visitor: Visitor,
    staff: Callable[..., Page],
    parent: Callable[..., Page],
    codes: dict[str, str],
    known: set[str],
    engine: Engine,
    who: str,
) -> None:
    starts = [
        rule.rule
        for rule in site.app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and rule.endpoint not in NOT_PAGES
    ]
    if who == "nobody":
        page = visitor("phone")
        for kind, path in OPENED.items():
            starts.insert(0, path + codes[kind])
        with Session(engine) as session:
            number = session.scalars(select(ServiceCertificate.number)).first()
        starts.append(f"/verify/{number}")
        page.goto("/sign-in/phone")
        page.fill("#phone", "13912345678")
        page.locator("main button[type=submit]").last.click()
    else:
        page = parent(who) if who in PARENTS else staff(who, "phone")
        page.goto("/calendars")
        page.locator("form[action='/calendars'] button").first.click()
        # the first person of a list may have nothing to show on the next page
        going = f"/notices/{codes['going']}/stop"
        later = f"/notices/{codes['later']}/change"
        # of its two faces the one that more hangs on: a notice that was sent
        starts = [page.url.removeprefix(site.url), "/notices/1", "/admin/messages/1", *starts]
        # and a session of today: its cards are open to its leaders
        starts.insert(0, f"/activities/sessions/{codes['out']}/cards")
        # which of the sessions a list names first may be over, and cannot be moved
        starts += [f"/activities/sessions/1/{change}" for change in ("move", "cancel", "enrol")]
        starts += [going, later]
    walk = Walk(page, site.app, what_is_written(engine), known, pictures=_pictures(who))
    walk.through(starts)
    assert walk.seen
    assert walk.findings == [], "\n".join(walk.findings)


def test_no_page_of_the_demo_district_is_left_out(site: Site, known: set[str]) -> None:
    pages = {
        rule.endpoint for rule in site.app.url_map.iter_rules() if "GET" in (rule.methods or ())
    }
    left_out = sorted(pages - known - NOT_PAGES)
    assert not left_out, ", ".join(left_out)


def test_what_is_poor_is_found(visitor: Visitor) -> None:
    page = visitor("phone", "en")
    page.goto("/sign-in")
    assert poor(page) == []
    assert chinese_left(page, ()) == []
    page.evaluate("""() => document.querySelector("main").insertAdjacentHTML("beforeend",
        "<img src='/static/mark.svg' width='900'><p>保存 by 王小雨</p><p lang='zh-CN'>好</p>")""")
    found = poor(page)
    assert any("image-alt" in what for what in found)
    assert any("px too wide" in what for what in found)
    assert chinese_left(page, ("王小雨",)) == ["保存 by 王小雨"]


def _pictures(who: str) -> Path | None:
    folder = os.environ.get("PICTURES")
    if not folder:
        return None
    path = Path(folder) / who
    path.mkdir(parents=True, exist_ok=True)
    return path


def what_is_written(engine: Engine) -> tuple[str, ...]:
    """Names, and what people wrote without a second language: these stand in English pages too."""
    # what a language calls itself is written in that language; what is sealed no column shows
    found = {"中文", *families_wrote()}
    with engine.connect() as connection:
        columns = connection.execute(
            text(
                "select table_name, column_name from information_schema.columns where"
                " table_schema = 'public' and data_type in ('text', 'character varying')"
                " and column_name not like '%\\_zh' and table_name not like 'procrastinate%'"
            )
        ).all()
        for table, column in columns:
            found |= set(connection.scalars(text(f'select distinct "{column}" from "{table}"')))
    names = {word for word in found if word and HAN.search(word) and len(word) > 1}
    names |= {mask_name(name) for name in names}
    return tuple(sorted(names, key=len, reverse=True))
