"""Health cards and collectors of the demo district: what a few families of class 3(2) have written.

One child with an allergy and an inhaler, one who eats halal, one of whom nothing is known, one whose
card is old, and one whose family left some of it open. The others have none, as in any class.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from coordination.domain.care import cards, pickups
from coordination.domain.care.content import NONE, QUESTIONS, SOME, Answer, Card, Other
from coordination.domain.care.models import HealthCard
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import ClassMember, Guardianship, Person
from coordination.reactions.work import begin

_NOTHING = {name: Answer(NONE) for name in QUESTIONS}
CARDS: dict[str, Card] = {
    "王小雨": Card(
        {
            **_NOTHING,
            "allergies": Answer(SOME, ("food",), "花生和坚果，吃了嘴唇肿、起风团"),
            "conditions": Answer(SOME, (), "过敏性哮喘，跑急了会喘"),
            "medicines": Answer(SOME, (), "沙丁胺醇喷雾，喘的时候喷 2 下，放在书包前袋"),
            "first_steps": Answer(
                SOME, (), "先坐下休息，用喷雾；10 分钟不缓解或嘴唇肿，打 120 再打给我们"
            ),
        },
        other=Other("周桂兰", "外婆", "13800139901"),
    ),
    "阿依古丽·买买提": Card(
        {**_NOTHING, "diet": Answer(SOME, ("halal",), "no pork, no lard; beef and mutton are fine")}
    ),
    "𠮷田悠": Card(_NOTHING),
    "欧阳珺": Card(
        {
            **_NOTHING,
            "allergies": Answer(SOME, ("insect", "medicine"), "蜂蜇后大片红肿；青霉素皮试阳性"),
        }
    ),
    "司马垚": Card({"allergies": Answer(NONE), "diet": Answer(SOME, (), "不吃海鲜，会拉肚子")}),
}
OLD = "欧阳珺"
# child -> name, relation, number, days from now
COLLECTORS = {
    "王小雨": ("周桂兰", "外婆", "13800139901", 180),
    "欧阳珺": ("陈姨", "邻居", "13800139902", 30),
}


def families_wrote() -> set[str]:
    """Their own words, which stand on pages of either language."""
    words = {answer.words for card in CARDS.values() for answer in card.answers.values()}
    others = [(card.other.name, card.other.relation) for card in CARDS.values() if card.other]
    return (
        words | {w for who in COLLECTORS.values() for w in who[:2]} | {w for o in others for w in o}
    ) - {""}


def write(session: Session, class_id: int, today: date) -> None:
    """The cards with their consents, and the collectors, each by the child's first guardian."""
    for name, card in CARDS.items():
        child, guardian = session.execute(
            select(Person.id, Guardianship.guardian_id)
            .join(Guardianship, Guardianship.child_id == Person.id)
            .join(ClassMember, ClassMember.person_id == Person.id)
            .where(Person.name == name, ClassMember.class_id == class_id)
            .order_by(Guardianship.contact_order)
            .limit(1)
        ).one()
        uow = begin(session, actor_of(session, guardian, today))
        cards.write(
            uow,
            child_id=child,
            card=card,
            version=0,
            agreed=True,
            language=uow.actor.language,
            today=today,
        )
        if name in COLLECTORS:
            who, relation, phone, days = COLLECTORS[name]
            pickups.add(
                uow,
                child_id=child,
                name=who,
                relation=relation,
                phone=phone,
                starts_on=today,
                ends_on=today + timedelta(days=days),
                today=today,
            )
        session.flush()
        uow.trail.close()
        if name == OLD:
            session.execute(
                update(HealthCard)
                .where(HealthCard.child_id == child)
                .values(confirmed_at=uow.now - timedelta(days=200))
            )
