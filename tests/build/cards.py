"""Health cards and collectors for tests: what a family would write, and a form of it."""

from __future__ import annotations

from coordination.domain.care import cards, pickups
from coordination.domain.care.content import NONE, QUESTIONS, SOME, Answer, Card, Other
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from tests.build.outing import DAY, ZONE, Outing

MARKER = "花生坚果MARKER7"
OTHER_PHONE = "13800138077"
GRANDMA_PHONE = "13800138078"


def a_card(words: str = MARKER, **more: object) -> Card:
    """Allergic to something; nothing else is known."""
    answers = {name: Answer(NONE) for name in QUESTIONS}
    answers["allergies"] = Answer(SOME, ("food",), words)
    return Card(answers, **more)  # type: ignore[arg-type]


def write(
    stage: Outing,
    role: str = "guardian",
    child: str = "child",
    *,
    card: Card | None = None,
    version: int = 0,
    agreed: bool = True,
) -> None:
    def use(uow: UnitOfWork) -> None:
        cards.write(
            uow,
            child_id=stage.world.people[child],
            card=card or a_card(other=Other("外婆邻居MARKER8", "邻居", OTHER_PHONE)),
            version=version,
            agreed=agreed,
            language="zh",
            today=clock.today(ZONE),
        )

    stage.act(role, use)


def let_collect(
    stage: Outing,
    role: str = "guardian",
    child: str = "child",
    *,
    name: str = "外婆MARKER9",
    phone: str = GRANDMA_PHONE,
    days: int = 60,
    relation: str = "外婆",
) -> None:
    today = clock.today(ZONE)

    def use(uow: UnitOfWork) -> None:
        pickups.add(
            uow,
            child_id=stage.world.people[child],
            name=name,
            relation=relation,
            phone=phone,
            starts_on=today,
            ends_on=today + days * DAY,
            today=today,
        )

    stage.act(role, use)


def form_of(**more: str) -> dict[str, str]:
    """A posted card: peanuts, nothing else."""
    said = {f"{name}_state": NONE for name in QUESTIONS}
    return {
        **said,
        "allergies_state": SOME,
        "allergies_words": MARKER,
        "version": "0",
        "agree": "y",
        **more,
    }
