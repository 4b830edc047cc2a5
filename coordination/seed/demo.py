"""The demo district: small, bilingual, always the same, with the cases that go wrong elsewhere.

Siblings over two classes and two schools, names with rare characters, a family without a phone, a
phone that two guardians share, a guardian who must not be told, and one who cannot read texts. All
phones are invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pypinyin import lazy_pinyin
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import schoolyear
from coordination.domain.agenda.models import BusySource, BusySpan
from coordination.domain.bookings.models import OpeningRule, Resource
from coordination.domain.oversight.data_requests import ANSWERED_WITHIN
from coordination.domain.oversight.models import DataRequest
from coordination.domain.partners.models import PartnerDocument, PartnerProfile
from coordination.domain.people import contacts
from coordination.domain.people.accounts import hash_password
from coordination.domain.people.models import (
    Account,
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Organisation,
    Person,
    Term,
)
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.domain.volunteering.models import ShiftNeed
from coordination.ground.text import Text
from coordination.reactions.work import begin
from coordination.seed import cards, last_week, outing

ZONE = ZoneInfo("Asia/Shanghai")
PASSWORD = "guangming-2026"  # noqa: S105 - a demo on one machine; printed at every start
SINCE = date(2026, 9, 1)

# login, name, name_en, role, organisation, class, what it is
STAFF = (
    (
        "admin",
        "孙立",
        "Sun Li",
        "district_admin",
        "GMQ",
        None,
        Text("区教育局管理员", "district administrator"),
    ),
    (
        "coordinator",
        "何洁",
        "He Jie",
        "coordinator",
        "GMQ",
        None,
        Text("实践活动协调员", "activity coordinator"),
    ),
    (
        "lijing",
        "李静",
        "Li Jing",
        "class_teacher",
        "GMSY",
        "GMSY-3-2",
        Text("班主任，光明实验小学三（2）班", "class teacher of 3(2), Guangming Experimental"),
    ),
    (
        "wanghao",
        "王浩",
        "Wang Hao",
        "class_teacher",
        "GMSY",
        "GMSY-3-1",
        Text("班主任，三（1）班", "class teacher of 3(1)"),
    ),
    (
        "chentao",
        "陈涛",
        "Chen Tao",
        "class_teacher",
        "YC",
        "YC-5-1",
        Text("班主任，育才小学五（1）班", "class teacher of 5(1), Yucai Primary"),
    ),
    (
        "liufang",
        "刘芳",
        "Liu Fang",
        "school_admin",
        "GMSY",
        None,
        Text("学校管理员，光明实验小学", "school administrator, Guangming Experimental"),
    ),
    (
        "clayhouse",
        "吴明远",
        "Wu Mingyuan",
        "partner_staff",
        "TYF",
        None,
        Text("陶艺坊负责人", "Clay House, partner"),
    ),
    (
        "library",
        "郑晓",
        "Zheng Xiao",
        "partner_staff",
        "QTSG",
        None,
        Text("区图书馆馆员", "District Library, partner"),
    ),
    (
        "greenvalley",
        "冯志强",
        "Feng Zhiqiang",
        "partner_staff",
        "LG",
        None,
        Text("绿谷实践基地负责人", "Green Valley, practice base"),
    ),
)

SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = (
    "小雨",
    "子涵",
    "珺",
    "垚",
    "喆",
    "思远",
    "一诺",
    "欣怡",
    "浩然",
    "梓萱",
    "祎",
    "翀",
    "晨曦",
    "语桐",
    "俊熙",
    "雅静",
    "天宇",
    "可欣",
    "奕辰",
    "诗涵",
)
# the children the tour and the screens tell of: the first of class 3(2), and the brothers of two
TOLD = {
    **{
        ("GMSY-3-2", number): name
        for number, name in enumerate(("王小雨", "阿依古丽·买买提", "𠮷田悠", "欧阳珺", "司马垚"))
    },
    ("GMSY-3-1", 0): "王子轩",
    ("YC-5-1", 0): "艾山·买买提",
}
MOTHERS = (
    "敏",
    "丽华",
    "晓燕",
    "秀英",
    "婷婷",
    "建红",
    "玉兰",
    "海霞",
    "雪梅",
    "春燕",
    "慧",
    "佳",
)
FATHERS = ("建国", "志强", "伟", "海涛", "建军", "明", "国栋", "磊")
CLASSES = (
    ("GMSY-3-1", "GMSY", 3, "三（1）班", "Class 3(1)", 32),
    ("GMSY-3-2", "GMSY", 3, "三（2）班", "Class 3(2)", 36),
    ("GMSY-4-1", "GMSY", 4, "四（1）班", "Class 4(1)", 30),
    ("YC-5-1", "YC", 5, "五（1）班", "Class 5(1)", 28),
    # a class that leaves at the turn of the year
    ("GMSY-6-1", "GMSY", 6, "六（1）班", "Class 6(1)", 24),
)
ORGANISATIONS = (
    # code, kind, zh, en, address zh, address en, lat, lng
    (
        "GMQ",
        "district",
        "光明区教育局",
        "Guangming District Education Bureau",
        "光明大道1号",
        "1 Guangming Avenue",
        22.7490,
        113.9350,
    ),
    (
        "GMSY",
        "school",
        "光明实验小学",
        "Guangming Experimental Primary School",
        "华夏路28号",
        "28 Huaxia Road",
        22.7532,
        113.9401,
    ),
    (
        "YC",
        "school",
        "育才小学",
        "Yucai Primary School",
        "松白路115号",
        "115 Songbai Road",
        22.7411,
        113.9228,
    ),
    (
        "TYF",
        "partner",
        "陶艺坊",
        "Clay House",
        "凤凰街文创园3栋",
        "Block 3, Fenghuang Arts Park",
        22.7588,
        113.9462,
    ),
    (
        "QTSG",
        "partner",
        "区图书馆",
        "District Library",
        "观光路88号",
        "88 Guanguang Road",
        22.7467,
        113.9377,
    ),
    (
        "LG",
        "partner",
        "绿谷劳动实践基地",
        "Green Valley Practice Base",
        "迳口社区农科路",
        "Nongke Road, Jingkou",
        22.7801,
        113.9605,
    ),
)


def demo_people() -> list[tuple[str, str, Text]]:
    """Login, password and role of everybody who can sign in."""
    return [(login, PASSWORD, role) for login, *_, role in STAFF]


def demo_parents(session: Session) -> list[tuple[str, Text]]:
    """Phone and description of two parents to try; empty once the demo children are gone."""
    first = (
        (
            TOLD["GMSY-3-2", 0],
            Text(
                "王小雨的家长，家里另有一个孩子在三（1）班",
                "a parent of 王小雨 and of a child in 3(1)",
            ),
        ),
        (TOLD["GMSY-3-2", 1], Text("使用英文的家长", "a parent who reads English")),
    )
    found = []
    for child, what in first:
        guardian = session.scalar(
            select(Guardianship.guardian_id)
            .join(Person, Person.id == Guardianship.child_id)
            .where(Person.name == child, Guardianship.ends_on.is_(None))
            .order_by(Guardianship.contact_order, Guardianship.id)
            .limit(1)
        )
        phone = contacts.phones_of(session, [guardian]).get(guardian) if guardian else None
        if phone:
            found.append((phone, what))
    return found


def load_demo(session: Session, now: datetime) -> None:
    """Write the district into an empty database; the caller commits."""
    Demo(session, now).write()


class Demo:
    """Writes the district; `org`, `group` and `person` map codes to ids."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session, self.now = session, now
        self.today = now.astimezone(ZONE).date()
        self.org: dict[str, int] = {}
        self.group: dict[str, int] = {}
        self._phone = 13800138000
        self._guardians_of: dict[int, list[int]] = {}

    def write(self) -> None:
        """Everything, in the order of the references."""
        self._organisations()
        self._classes()
        self._staff()
        self._families()
        self._request()
        cards.write(self.session, self.group["GMSY-3-2"], self.today)
        self._partners()
        planting = self._activities()
        self.session.flush()
        uow = begin(self.session, SYSTEM)
        uow.authorize(Action.SYSTEM_RUN)
        schoolyear.write(uow)
        teacher = self.session.query(Account).filter_by(login="lijing").one().person_id
        outing.write(uow, like_id=planting, class_id=self.group["GMSY-3-2"], teacher_id=teacher)
        last_week.write(
            uow,
            today=self.today,
            zone=ZONE,
            org=self.org,
            class_id=self.group["GMSY-3-2"],
            school_id=self.org["GMSY"],
        )
        self.session.flush()

    def _add(
        self, row: Organisation | ClassGroup | Person | Resource | Activity | BusySource
    ) -> int:
        self.session.add(row)
        self.session.flush()  # later rows refer to the id
        return row.id

    def _organisations(self) -> None:
        for code, kind, zh, en, address_zh, address_en, lat, lng in ORGANISATIONS:
            self.org[code] = self._add(
                Organisation(
                    code=code,
                    kind=kind,
                    parent_id=self.org.get("GMQ") if kind == "school" else None,
                    name_zh=zh,
                    name_en=en,
                    address_zh=address_zh,
                    address_en=address_en,
                    lat=lat,
                    lng=lng,
                    active=True,
                )
            )
        self.session.add(
            Term(
                org_id=self.org["GMQ"],
                name_zh="2026—2027学年第一学期",
                name_en="Autumn term 2026",
                starts_on=SINCE,
                ends_on=date(2027, 1, 22),
            )
        )

    def _classes(self) -> None:
        for code, school, grade, zh, en, _size in CLASSES:
            self.group[code] = self._add(
                ClassGroup(
                    school_id=self.org[school],
                    grade=grade,
                    name_zh=zh,
                    name_en=en,
                    source_id=code,
                    active=True,
                )
            )

    def _person(
        self, name: str, *, en: str | None = None, language: str = "zh", **more: object
    ) -> int:
        return self._add(
            Person(
                name=name,
                name_en=en,
                language=language,
                pinyin=" ".join(lazy_pinyin(name)),
                status="active",
                **{"is_student": False, **more},
            )
        )

    def _staff(self) -> None:
        stored = hash_password(PASSWORD)  # once: argon2 is slow on purpose
        for login, name, en, role, org, group, _what in STAFF:
            person = self._person(name, en=en)
            self.session.add(Account(person_id=person, login=login, password_hash=stored))
            self.session.add(
                Membership(
                    person_id=person,
                    org_id=self.org[org],
                    role=role,
                    class_id=self.group[group] if group else None,
                    starts_on=SINCE,
                )
            )
            contacts.set_phone(self.session, person, self._next_phone())

    def _next_phone(self) -> str:
        self._phone += 1
        return str(self._phone)

    def _names(self) -> Iterator[str]:
        for i in range(1, 10_000):  # the first is the name of a child the tour tells of
            yield SURNAMES[i * 7 % len(SURNAMES)] + GIVEN[(i * 3 + i // 20) % len(GIVEN)]

    def _families(self) -> None:
        names = self._names()
        children: dict[str, list[int]] = {}
        for code, school, grade, _zh, _en, size in CLASSES:
            for number in range(size):
                child = self._person(
                    TOLD.get((code, number)) or next(names),
                    is_student=True,
                    school_id=self.org[school],
                    grade=grade,
                )
                children.setdefault(code, []).append(child)
                self.session.add(
                    ClassMember(class_id=self.group[code], person_id=child, starts_on=SINCE)
                )
        ours = children["GMSY-3-2"]
        # siblings: one family with a child in 3(1) and 3(2), one over two schools
        pairs = {children["GMSY-3-1"][0]: ours[0], children["YC-5-1"][0]: ours[1]}
        for code, group in children.items():
            for number, child in enumerate(group):
                sibling = pairs.get(child)
                if sibling is not None and code != "GMSY-3-2":
                    continue  # guardians come from the child in 3(2) below
                self._guardians(child, number, special=code == "GMSY-3-2")
        for other, child in pairs.items():
            for guardian in self._guardians_of[child]:
                self._bind(other, guardian, "parent", order=1)

    def _guardians(self, child: int, number: int, *, special: bool) -> None:
        name = self.session.get_one(Person, child).name
        surname = name[:2] if name[:2] in ("欧阳", "司马") else name[0]
        english = special and number in (1, 2, 9)
        mother = self._person(
            SURNAMES[(number * 5 + child) % len(SURNAMES)]
            + MOTHERS[(number + child) % len(MOTHERS)],
            language="en" if english else "zh",
        )
        self._bind(child, mother, "mother", order=1)
        if not (special and number == 5):  # one family without any phone
            contacts.set_phone(self.session, mother, self._next_phone())
        if special and number == 8:  # one who cannot read texts, and is called instead
            self.session.get_one(Person, mother).call_since = self.today - timedelta(days=30)
        if number % 3 != 0:
            return
        father = self._person(surname + FATHERS[(number + child) % len(FATHERS)])
        if special and number == 3:
            # the shared phone: mother and father hold the same number
            shared = contacts.phones_of(self.session, [mother])[mother]
            contacts.set_phone(self.session, father, shared)
        else:
            contacts.set_phone(self.session, father, self._next_phone())
        # number 6: a court order; this father must not be told anything
        self._bind(child, father, "father", order=2, hidden=special and number == 6)

    def _bind(
        self, child: int, guardian: int, relation: str, *, order: int, hidden: bool = False
    ) -> None:
        self.session.add(
            Guardianship(
                child_id=child,
                guardian_id=guardian,
                relation=relation,
                legal=True,
                contact_order=order,
                may_consent=True,
                may_pick_up=not hidden,
                receives_notice=True,
                no_disclosure=hidden,
                starts_on=SINCE,
            )
        )
        self._guardians_of.setdefault(child, []).append(guardian)

    def _request(self) -> None:
        """What a parent asked the school about a child's data, yesterday."""
        child, guardians = next(iter(self._guardians_of.items()))
        asked = self.now - timedelta(days=1)
        self.session.add(
            DataRequest(
                guardian_id=guardians[0],
                child_id=child,
                school_id=self.session.get_one(Person, child).school_id,
                kind="correct",
                words="孩子户口本上的名字和这里的写法不一样，请按户口本更正。",
                due_at=asked + ANSWERED_WITHIN,
                created_at=asked,
            )
        )

    def _partners(self) -> None:
        for code, sector, base, zh, en in (
            (
                "TYF",
                "craft",
                False,
                "社区陶艺工作室，拉坯、彩绘、烧制全程体验。",
                "A neighbourhood pottery studio: throw, paint and fire.",
            ),
            (
                "QTSG",
                "library",
                False,
                "公共图书馆，设少儿阅览区与故事教室。",
                "The public library, with a children's room and a story classroom.",
            ),
            (
                "LG",
                "farm",
                True,
                "种植、收割、食农教育，配备急救点和雨棚。",
                "Planting, harvest and food lessons, with first aid and a rain shelter.",
            ),
        ):
            self.session.add(
                PartnerProfile(
                    org_id=self.org[code],
                    sector=sector,
                    is_practice_base=base,
                    public_welfare=True,
                    state="listed",
                    intro_zh=zh,
                    intro_en=en,
                )
            )
            for kind in ("business_licence", "liability_insurance"):
                self.session.add(
                    PartnerDocument(
                        org_id=self.org[code],
                        kind=kind,
                        number=f"{code}-{kind[:3].upper()}-2026",
                        expires_on=self.today + timedelta(days=300),
                    )
                )
        self._resource(
            "TYF",
            "space",
            Text("陶艺工作室", "Pottery studio"),
            40,
            "request",
            before=15,
            after=30,
            facts=["toilets", "indoor", "first_aid"],
        )
        self._outside_calendar()
        self._resource(
            "QTSG",
            "space",
            Text("少儿阅览室", "Children's reading room"),
            45,
            "direct",
            before=0,
            after=10,
            facts=["toilets", "indoor", "step_free", "coats"],
        )
        self._resource(
            "QTSG",
            "expert",
            Text("故事老师进校园", "Storyteller visits your school"),
            50,
            "request",
            before=30,
            after=30,
            facts=[],
        )
        self._resource(
            "LG",
            "space",
            Text("百草园", "Herb garden"),
            60,
            "request",
            before=0,
            after=30,
            facts=["outdoor", "toilets", "snack", "first_aid"],
        )

    def _outside_calendar(self) -> None:
        """The pottery studio's own evening and weekend courses, as it keeps them elsewhere."""
        studio = self.session.query(Resource).filter_by(title_en="Pottery studio").one()
        read_at = self.now
        source = self._add(
            BusySource(
                resource_id=studio.id,
                owner_id=studio.owner_id,
                name="陶艺坊课程表.ics",
                in_use=True,
                read_at=read_at,
                checked_at=read_at,
                tried_at=read_at,
            )
        )
        monday = self.today - timedelta(days=self.today.weekday())
        for week in range(1, 13):
            for weekday, opens, closes in ((1, time(15), time(17)), (5, time(9), time(11, 30))):
                day = monday + timedelta(days=7 * week + weekday)
                self.session.add(
                    BusySpan(
                        source_id=source,
                        resource_id=studio.id,
                        starts_at=datetime.combine(day, opens, tzinfo=ZONE),
                        ends_at=datetime.combine(day, closes, tzinfo=ZONE),
                    )
                )

    def _resource(
        self,
        owner: str,
        kind: str,
        title: Text,
        capacity: int,
        mode: str,
        *,
        before: int,
        after: int,
        facts: list[str],
    ) -> None:
        place = self.session.get_one(Organisation, self.org[owner])
        resource = self._add(
            Resource(
                owner_id=place.id,
                kind=kind,
                title_zh=title.zh,
                title_en=title.en,
                address_zh=place.address_zh or "",
                address_en=place.address_en or "",
                lat=place.lat,
                lng=place.lng,
                capacity_min=1,
                capacity_max=capacity,
                grades=[1, 2, 3, 4, 5, 6],
                facts=facts,
                notice_hours=24,
                horizon_days=120,
                slot_minutes=30,
                max_minutes=240,
                buffer_before=before,
                buffer_after=after,
                approval_mode=mode,
                fee_mode="free",
                publish_state="published",
            )
        )
        for weekday in range(6):
            self.session.add(
                OpeningRule(
                    resource_id=resource, weekday=weekday, opens=time(9), closes=time(17, 30)
                )
            )

    def _activities(self) -> int:
        coordinator = self.session.query(Account).filter_by(login="coordinator").one().person_id
        activity = self._add(
            Activity(
                type="labour",
                title_zh="冬季蔬菜种植",
                title_en="Planting winter vegetables",
                purpose_zh="认识节气与蔬菜，完成一次从翻土到播种的劳动。",
                purpose_en="Learn the season's vegetables and sow a bed from digging to watering.",
                bring_zh="水壶、长袖外套、防滑鞋",
                bring_en="Water bottle, long sleeves, sturdy shoes",
                organiser_id=self.org["GMQ"],
                base_id=self.org["LG"],
                grades=[3, 4, 5],
                state="published",
                created_by_id=coordinator,
            )
        )
        for weeks in (2, 3):
            day = self.today + timedelta(days=7 * weeks - self.today.weekday() + 3)
            starts = datetime.combine(day, time(8, 30), tzinfo=ZONE)
            held = PracticeSession(
                activity_id=activity,
                base_id=self.org["LG"],
                starts_at=starts,
                ends_at=starts + timedelta(hours=7),
                return_at=starts + timedelta(hours=8),
                meeting_point_zh="学校南门大巴停车处",
                meeting_point_en="Coach stop at the south gate",
                place_zh="绿谷劳动实践基地",
                place_en="Green Valley Practice Base",
                capacity=60,
                taken=0,
                signup_until=starts - timedelta(days=4),
                waitlist=True,
                state="open",
            )
            self.session.add(held)
            self.session.flush()  # the shift refers to the session
            self.session.add(
                ShiftNeed(
                    session_id=held.id,
                    role_zh="随队家长志愿者",
                    role_en="Parent helper on the day",
                    starts_at=starts,
                    ends_at=starts + timedelta(hours=8),
                    min_people=2,
                    max_people=4,
                    state="open",
                )
            )
        return activity
