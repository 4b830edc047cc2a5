"""Sign-in and password forms. Shape only."""

from __future__ import annotations

from wtforms.validators import Length

from coordination.web.forms import (
    AtMost,
    Form,
    LineField,
    PasswordField,
    PhoneField,
    Required,
    both,
)


class PasswordSignIn(Form):
    """Login and password of staff, partners and coordinators."""

    login = LineField(
        both("登录名", "User name"),
        [Required("请填写登录名。", "Enter your user name."), AtMost(120)],
    )
    password = PasswordField(
        both("密码", "Password"),
        [Required("请填写密码。", "Enter your password."), AtMost(200)],
    )


class PhoneSignIn(Form):
    """A parent's phone number."""

    phone = PhoneField(both("手机号码", "Mobile number"))


class CodeSignIn(Form):
    """The six digits that were sent."""

    code = LineField(
        both("验证码", "Code"),
        [
            Required("请填写短信中的 6 位数字。", "Enter the 6 digits from the message."),
            Length(max=12, message=both("验证码是 6 位数字。", "The code has 6 digits.")),
        ],
    )


class ChangePassword(Form):
    """Old and new password."""

    old = PasswordField(
        both("当前密码", "Present password"),
        [Required("请填写当前密码。", "Enter your present password."), AtMost(200)],
    )
    password = PasswordField(
        both("新密码", "New password"),
        [
            Required("请填写新密码。", "Enter a new password."),
            Length(
                min=10,
                max=200,
                message=both("密码至少 10 位。", "A password needs at least 10 characters."),
            ),
        ],
    )
