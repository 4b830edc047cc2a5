"""Forms of the administration: shape only, the rules stand in the domain."""

from __future__ import annotations

from coordination.web.forms import BooleanField, Form, LocalTimeField, Required, both


class QuietForm(Form):
    """Quiet hours of the district; equal times mean none."""

    quiet_from = LocalTimeField(both("从", "From"), [Required()])
    quiet_until = LocalTimeField(both("到", "Until"), [Required()])
    rest_days = BooleanField(both("双休日和节假日全天不发送", "Nothing on weekends and holidays"))
