"""A list page of 50 bookings through the whole application, against two pages of the same content.

`lazy` is the page as people first write it: ORM objects, relations loaded when a cell asks for them,
`url_for` and formatting in every cell. `eager` is the same with its relations loaded by joins. Both
show the same words and links as ours (this is checked), know who is signed in and draw the same
frame. What is measured is CPU time of the web process per request, and statements per page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Flask, render_template_string, session, url_for
from jinja2 import FileSystemLoader
from sqlalchemy import ForeignKey, create_engine, event, select, text
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
)
from werkzeug.test import EnvironBuilder

from benchmarks._server import FIELD_KEY, Server, server
from benchmarks._table import at_least, at_most, console, quick, race, rounds, show
from coordination.app import create_app
from coordination.authz.actor import ANONYMOUS
from coordination.domain.people.accounts import sign_in
from coordination.reactions.work import begin
from coordination.seed.demo import PASSWORD
from coordination.seed.synthetic import seed
from coordination.settings import Settings

PATH = "/venues/bookings?show=all"
SIZES = (5, 50, 500)
ZONE = ZoneInfo("Asia/Shanghai")

# -- the reference -------------------------------------------------------------------------------


class Base(DeclarativeBase):
    """The reference has models of its own on the same tables."""


class School(Base):
    __tablename__ = "organisation"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    code: Mapped[str]
    name_zh: Mapped[str]
    name_en: Mapped[str]
    lat: Mapped[float | None]
    lng: Mapped[float | None]


class Group(Base):
    __tablename__ = "class_group"
    id: Mapped[int] = mapped_column(primary_key=True)
    grade: Mapped[int | None]
    name_zh: Mapped[str]
    name_en: Mapped[str]


class Venue(Base):
    __tablename__ = "resource"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    title_zh: Mapped[str]
    title_en: Mapped[str]
    capacity_max: Mapped[int]


class Post(Base):
    __tablename__ = "membership"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    class_id: Mapped[int | None]
    role: Mapped[str]


class User(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    language: Mapped[str]
    posts: Mapped[list[Post]] = relationship()


class Time(Base):
    __tablename__ = "booking_occurrence"
    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("booking.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


class Booking(Base):
    __tablename__ = "booking"
    id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"))
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    class_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"))
    purpose: Mapped[str]
    children: Mapped[int]
    adults: Mapped[int]
    state: Mapped[str]
    venue: Mapped[Venue] = relationship()
    school: Mapped[School] = relationship()
    group: Mapped[Group | None] = relationship()
    times: Mapped[list[Time]] = relationship(order_by=Time.starts_at)


STATES = {
    "confirmed": ("已确认", "Confirmed", "ok"),
    "completed": ("已完成", "Completed", ""),
}
NAVIGATION = (
    ("today", "今日待办", "Today"),
    ("messages", "消息", "Messages"),
    ("activities", "活动", "Activities"),
    ("venues", "场地", "Venues"),
    ("volunteers", "志愿者", "Volunteers"),
    ("calendars", "日历", "Calendars"),
    ("roster", "名册", "Roster"),
)


def reference(url: str, *, eager: bool) -> tuple[Flask, Session]:
    """An application with this one page, and its session for counting."""
    app = Flask(__name__)
    app.secret_key = FIELD_KEY
    app.jinja_loader = FileSystemLoader(Path(__file__).parent / "reference")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.auto_reload = False
    db = scoped_session(sessionmaker(create_engine(url, pool_pre_ping=True)))

    def translate(zh: str, en: str) -> str:
        return en if user().language == "en" else zh

    def user() -> User:
        found = db.get(User, session["user_id"])
        assert found is not None
        return found

    def when(moment: datetime) -> str:
        local = moment.astimezone(ZONE)
        day = "一二三四五六日"[local.weekday()]
        return f"{local.year}年{local.month}月{local.day}日（周{day}）{local.strftime('%H:%M')}"

    app.jinja_env.globals.update(_=translate, navigation=NAVIGATION, states=STATES)
    app.jinja_env.filters.update(
        when=when, clock=lambda moment: moment.astimezone(ZONE).strftime("%H:%M")
    )

    @app.teardown_appcontext
    def close(_error: object) -> None:
        db.remove()

    @app.get("/bookings")
    def bookings() -> str:
        classes = [post.class_id for post in user().posts]
        query = select(Booking).where(Booking.class_id.in_(classes)).order_by(Booking.id.desc())
        if eager:
            query = query.options(
                joinedload(Booking.venue),
                joinedload(Booking.school),
                joinedload(Booking.group),
                selectinload(Booking.times),
            )
        found = db.scalars(query.limit(51)).all()
        return app.jinja_env.get_template("page.html").render(
            bookings=found[:50], more=len(found) > 50, user=user()
        )

    @app.get("/bookings/<int:booking_id>")
    def booking(booking_id: int) -> str:
        return render_template_string("{{ n }}", n=booking_id)

    @app.get("/pages/<name>")
    def page(name: str) -> str:
        return url_for("page", name=name)

    return app, db  # type: ignore[return-value]


# -- the run -------------------------------------------------------------------------------------


def fill(url: str, count: int) -> int:
    """A small district in which the first teacher has `count` bookings of 20 venues; the teacher."""
    seed(url, schools=200, students=400)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("truncate booking, booking_occurrence restart identity cascade"))
        teacher = connection.scalar(text("select person_id from account where login = 'teacher1'"))
        connection.execute(
            text(
                "insert into booking (resource_id, owner_id, school_id, class_id, requested_by_id,"
                " purpose, children, adults, state) "
                "select r.id, r.owner_id, g.school_id, g.id, :teacher, '社会实践课', 36, 2,"
                " case when n % 3 = 0 then 'confirmed' else 'completed' end "
                "from generate_series(1, :count) n join class_group g on g.id = 1 "
                "join resource r on r.id = 1 + n % 20 order by n"
            ),
            {"teacher": teacher, "count": count},
        )
        connection.execute(
            text(
                "insert into booking_occurrence (booking_id, resource_id, starts_at, ends_at,"
                " during, status) select id, resource_id, at, at + interval '2 hours',"
                " tstzrange(at, at + interval '2 hours'), state from (select *,"
                " timestamptz '2026-09-01 09:00+08' + id * interval '1 day' as at from booking) b"
            )
        )
        connection.execute(text("analyze"))
    engine.dispose()
    return int(teacher or 0)


class Page:
    """A page that can be asked for again and again, as the signed-in teacher."""

    def __init__(self, app: Flask, path: str, signed_in: dict[str, object], engine: object) -> None:
        self.app, self.statements = app, 0
        with app.test_client() as client:
            with client.session_transaction() as kept:
                kept.update(signed_in)
            cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
            assert cookie is not None
        self._environ = EnvironBuilder(
            path, headers={"Cookie": f"{cookie.key}={cookie.value}", "Accept-Language": "zh-CN"}
        ).get_environ()
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.statements += 1

    def __call__(self) -> str:
        status = []

        def start(line: str, _headers: object, _error: object = None) -> Callable[..., None]:
            status.append(line)
            return lambda _data: None

        body = b"".join(self.app.wsgi_app(dict(self._environ), start))  # type: ignore[arg-type]
        assert status == ["200 OK"], (status, body[:400])
        return body.decode()

    def cost(self) -> int:
        """Statements of one request."""
        before = self.statements
        self()
        return self.statements - before


def words(page: str) -> str:
    """What the page says, without its markup."""
    body = re.sub(
        r"<(title|script|style|svg)\b.*?</\1>", " ", page.partition("<body")[2], flags=re.S
    )
    return " ".join(re.sub(r"<[^>]*>", " ", "<" + body).split())


def links(page: str) -> int:
    """How many links the page has."""
    return len(re.findall(r"<a\s", page))


def pages(server: Server, size: int) -> dict[str, Page]:
    """The three candidates on a database with `size` bookings."""
    url = server.database(f"list_{size}")
    teacher = fill(url, size)
    app = create_app(Settings(database_url=url, public_url="http://localhost", field_key=FIELD_KEY))
    engine = create_engine(url)
    with Session(engine) as held, begin(held, ANONYMOUS) as uow:
        token = sign_in(uow, login="teacher1", password=PASSWORD, address="127.0.0.1")
    engine.dispose()
    with app.app_context():
        from coordination.web.db import db

        found = {"ours": Page(app, PATH, {"sid": token}, db.engine)}
    for name, eager in (("lazy", False), ("eager", True)):
        other, held = reference(url, eager=eager)
        found[name] = Page(other, "/bookings?show=all", {"user_id": teacher}, held.get_bind())
    shown = {name: page() for name, page in found.items()}
    for name, page in shown.items():
        assert words(page) == words(shown["ours"]), (words(page), words(shown["ours"]))
        assert links(page) == links(shown["ours"]), name
    return found


def main() -> None:
    """Run all candidates in turns and print the ratios."""
    with server() as made:
        counts: dict[int, dict[str, int]] = {}
        for size in SIZES:
            found = pages(made, size)
            counts[size] = {name: page.cost() for name, page in found.items()}
            if size == 50:
                times = race(found, turns=rounds(15), calls=5 if quick() else 20)
                length = len(found["ours"]())
    rows = []
    for name, taken in times.items():
        rows.append(
            (
                name,
                f"{taken.cpu_median * 1e3:.2f}",
                taken.spread,
                f"{taken.wall_median * 1e3:.2f}",
                f"{taken.cpu_median / times['ours'].cpu_median:.1f}",
                *(str(counts[size][name]) for size in SIZES),
            )
        )
    show(
        f"A list page of 50 bookings ({length:,} characters), per request",
        ("page", "CPU ms", "least-most", "wall ms", "x ours", *(f"SQL at {s}" for s in SIZES)),
        rows,
    )
    ours = times["ours"].cpu_median
    at_least("CPU of the lazy page", times["lazy"].cpu_median / ours, 3)
    console.print(f"CPU of the eager page: {times['eager'].cpu_median / ours:.1f}x")
    at_most("statements of our page", max(counts[s]["ours"] for s in SIZES), 5)
    at_most("more of them from 50 to 500 rows", counts[500]["ours"] - counts[50]["ours"], 0)


if __name__ == "__main__":
    main()
