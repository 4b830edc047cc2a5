"""Forms of consents: shape only, the rules stand in the domain."""

from __future__ import annotations

from coordination.domain.consents.rules import LONGEST_NOTE, RECORDED
from coordination.web.forms import (
    AtMost,
    Chosen,
    Form,
    HiddenField,
    LineField,
    Optional,
    RadioField,
    both,
)


class RecordForm(Form):
    """What a guardian answered on paper or by word of mouth. The domain says which choices there are."""

    guardian = RadioField(
        both("哪位监护人答复", "Which guardian answered"), [Chosen()], validate_choice=False
    )
    response = RadioField(
        both("答复", "The answer"),
        [Chosen()],
        choices=[("given", both("同意参加", "May join")), ("refused", both("不同意", "May not"))],
        validate_choice=False,
    )
    route = RadioField(
        both("怎么答复的", "How it came"),
        [Chosen()],
        choices=[(key, both(said.zh, said.en)) for key, said in RECORDED.items()],
        default="paper",
        validate_choice=False,
    )
    note = LineField(both("说明", "Note"), [Optional(), AtMost(LONGEST_NOTE)])
    # the newest answer on this page
    last = HiddenField()
