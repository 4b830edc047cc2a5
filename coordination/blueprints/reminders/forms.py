"""The form of a rule: shape only, what fits is said by the domain."""

from __future__ import annotations

from coordination.domain.practice.reminding import KINDS, UNITS, USEFUL, USUALLY_USEFUL
from coordination.web.forms import (
    Form,
    LocalTimeField,
    NumberField,
    Optional,
    SelectField,
    both,
)


class RuleForm(Form):
    """One reminder more."""

    kind = SelectField(
        both("提醒谁、在什么之前或之后", "Whom, and before or after what"),
        choices=[(key, both(kind.label.zh, kind.label.en)) for key, kind in KINDS.items()],
    )
    number = NumberField(both("提前或推后多少", "How much before or after"), default=1)
    unit = SelectField(
        both("单位", "Unit"),
        choices=[(key, both(word.zh, word.en)) for key, word in UNITS.items()],
    )
    at = LocalTimeField(both("几点发送", "At what time"), [Optional()])
    useful_hours = SelectField(
        both("没能按时发出时", "If its time was missed"),
        choices=[
            (
                hours,
                both(
                    f"{hours} 小时内补发",
                    f"Send up to {hours} {'hour' if hours == 1 else 'hours'} late",
                ),
            )
            for hours in USEFUL
        ],
        coerce=int,
        default=USUALLY_USEFUL,
    )
