"""The short code that a person types from a message. Shape only."""

from __future__ import annotations

from coordination.web.forms import AtMost, Form, LineField, Required, both


class OpenCode(Form):
    """Ten characters, typed in any case, with or without a dash."""

    code = LineField(
        both("短码", "Code"),
        [
            Required("请填写短信中的短码。", "Enter the code from the message."),
            AtMost(40),
        ],
    )
