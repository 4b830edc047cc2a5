"""What a child's consent amounts to, and which changes must be asked again. Pure decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordination.ground.text import Text

STATES = {
    "no_answer": Text("未答复", "No answer"),
    "given": Text("同意", "Agreed"),
    "refused": Text("不同意", "Not agreed"),
    "conflict": Text("监护人意见不一致", "Guardians disagree"),
    "withdrawn": Text("已撤回", "Withdrawn"),
}


# how an answer may reach the school otherwise than by the guardian's own hand on the page
RECORDED = {
    "paper": Text("纸质回执", "Paper slip"),
    "phone": Text("电话口头", "By phone"),
    "in_person": Text("当面口头", "In person"),
}
LONGEST_NOTE = 200
# how long a guardian may put right what the school noted, although the time to answer is over
OBJECTION = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer, in the order given."""

    guardian_id: int
    response: str


def state_of(answers: Sequence[Answered]) -> str:
    """The state derived from the append-only answers: the last word of each guardian counts."""
    last: dict[int, str] = {}
    for answer in answers:
        last[answer.guardian_id] = answer.response
    words = set(last.values())
    if not words:
        return "no_answer"
    if words == {"given"}:
        return "given"
    if "given" in words:
        return "conflict"
    return "withdrawn" if words == {"withdrawn"} else "refused"


def answers_until(due_at: datetime, noted_at: datetime | None) -> datetime:
    """Until when a guardian may answer whose last answer the school noted at `noted_at`, if it did."""
    return due_at if noted_at is None else max(due_at, noted_at + OBJECTION)


def text_hash(title: Text, body: Text) -> str:
    """Evidence of what was shown. Another hash is another question, and is asked again: so what a
    family agrees to (times, places, what to bring) must stand in the text, and nothing else."""
    joined = "\x00".join((title.zh, title.en, body.zh, body.en))
    return hashlib.sha256(joined.encode()).hexdigest()
