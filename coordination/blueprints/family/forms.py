"""Forms of the family's pages: shape only, the rules stand in the domain."""

from __future__ import annotations

from coordination.domain.people.hours import HOURS
from coordination.web.forms import Form, RadioField, both


class CallsForm(Form):
    """Whether the phone rings beside the text."""

    how = RadioField(
        both("怎么通知您", "How you are told"),
        choices=[
            ("text", both("发短信就行", "Texts are enough")),
            ("call", both("看不了短信，请打电话", "I cannot read texts: please call")),
        ],
        default="text",
    )


class HourForm(Form):
    """From when on in a day routine notices may come; "" is whenever."""

    hour = RadioField(
        both("普通通知什么时候发给您", "When routine notices come to you"),
        choices=[
            (f"{hour:%H:%M}", both(f"每天 {hour:%H:%M} 以后", f"From {hour:%H:%M} on each day"))
            if hour
            else ("", both("随时", "At any time"))
            for hour in HOURS
        ],
        default="",
    )
