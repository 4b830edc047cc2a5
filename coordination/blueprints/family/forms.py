"""Forms of the family's pages: shape only, the rules stand in the domain."""

from __future__ import annotations

from coordination.domain.people.hours import HOURS
from coordination.web.forms import Form, RadioField, both


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
