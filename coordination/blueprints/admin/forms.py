"""Forms of the administration: shape only, the rules stand in the domain."""

from __future__ import annotations

from coordination.domain.communication.texts.approvals import STATES
from coordination.domain.people.schooldays import OWN_KINDS
from coordination.web.forms import (
    AtMost,
    BooleanField,
    Chosen,
    Form,
    LineField,
    LocalDateField,
    LocalTimeField,
    NumberField,
    Optional,
    RadioField,
    Required,
    both,
)

# not Required: that would hide what is wrong with a date that cannot be read
FILL = ("请填写日期，例如 2026-12-04。", "Enter a date, for example 2026-12-04.")


class QuietForm(Form):
    """Quiet hours of the district; equal times mean none. From when on notices wait in the evening,
    and when they leave; both empty: they do not wait.
    """

    quiet_from = LocalTimeField(both("从", "From"), [Required()])
    quiet_until = LocalTimeField(both("到", "Until"), [Required()])
    rest_days = BooleanField(both("双休日和节假日全天不发送", "Nothing on weekends and holidays"))
    gather_from = LocalTimeField(both("从几点开始等", "Notices wait from"), [Optional()])
    gather_at = LocalTimeField(both("几点一起发出", "They leave at"), [Optional()])


class LimitForm(Form):
    """How many routine texts a phone gets in a day."""

    per_day = NumberField(
        both("每部手机每天最多几条", "Texts per phone and day"),
        [Chosen("请填写整数；0 表示不限。", "Enter a whole number; 0 means no limit.")],
    )


class SecondLookForm(Form):
    """Above how many guardians a second person looks at a notice first; empty is never."""

    above = NumberField(both("超过多少位家长要复核", "Above how many guardians"), [Optional()])
    urgent_too = BooleanField(both("紧急通知也要先复核", "Urgent notices wait for it too"))


class BudgetForm(Form):
    """What the texts of an organisation may cost in a month; empty is no budget."""

    yuan = NumberField(both("每月预算（元）", "Budget a month (yuan)"), [Optional()])


class ApprovalForm(Form):
    """What the provider of texts says of one wording."""

    template_id = LineField(both("服务商的模板编号", "The provider's template id"), [AtMost(40)])
    state = RadioField(
        both("审核状态", "State"),
        choices=[(state, both(word.zh, word.en)) for state, word in STATES.items()],
        validators=[Required()],
    )


class TermForm(Form):
    """A term of the school year."""

    name_zh = LineField(both("名称", "Name in Chinese"), [Required()])
    name_en = LineField(both("英文名称", "Name in English"))
    starts_on = LocalDateField(both("第一天", "First day"), [Chosen(*FILL)])
    ends_on = LocalDateField(both("最后一天", "Last day"), [Chosen(*FILL)])


class DaysForm(Form):
    """Days on which the district departs from the published calendar."""

    kind = RadioField(
        both("是什么", "What they are"),
        choices=[(kind.value, both(word.zh, word.en)) for kind, word in OWN_KINDS.items()],
        validators=[Required()],
    )
    first = LocalDateField(both("第一天", "First day"), [Chosen(*FILL)])
    last = LocalDateField(both("最后一天", "Last day"), [Chosen(*FILL)])
    name_zh = LineField(both("名称", "Name in Chinese"))
    name_en = LineField(both("英文名称", "Name in English"))
