"""What happens to consents."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class ConsentAsked(Event):
    """Some children's guardians are asked (again)."""

    request_id: int
    child_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConsentAnswered(Event):
    """A guardian answered; `state` is what the child's consent now amounts to."""

    request_id: int
    subject_type: str
    subject_id: int
    child_id: int
    state: str


@dataclass(frozen=True, slots=True)
class ConsentRecorded(Event):
    """The school wrote down what a guardian answered on paper or by word of mouth."""

    answer_id: int
