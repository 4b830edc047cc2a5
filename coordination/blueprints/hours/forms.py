"""Form of the rule by which practice hours are counted: shape only."""

from __future__ import annotations

from coordination.domain.practice.hour_rules import GRADES
from coordination.web.forms import Chosen, Form, LineField, LocalDateField, NumberField, both

# not Required: that takes a nought for nothing, and hides what is wrong with it
FILL = ("请填写数字。", "Enter a number.")


class HourRuleForm(Form):
    """What a session counts for, and for each grade how many periods and times in a term."""

    starts_on = LocalDateField(both("从哪天起", "From which day on"))
    minutes = NumberField(both("一课时多少分钟", "Minutes of a period"), [Chosen(*FILL)])
    most_a_day = NumberField(both("一天最多几课时", "Most periods in a day"), [Chosen(*FILL)])
    source = LineField(both("依据", "What it rests on"))


for _grade in GRADES:
    setattr(
        HourRuleForm,
        f"periods_{_grade}",
        NumberField(
            both(f"{_grade} 年级：课时", f"Grade {_grade}: periods"), [Chosen(*FILL)], default=0
        ),
    )
    setattr(
        HourRuleForm,
        f"times_{_grade}",
        NumberField(
            both(f"{_grade} 年级：次数", f"Grade {_grade}: times"), [Chosen(*FILL)], default=0
        ),
    )
