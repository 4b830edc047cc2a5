"""Forms: bilingual labels and messages, cleaned text, refusals shown at the field.

Shape only: a form turns strings into typed values, the rules live in the domain. Must not know any
feature.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from flask import render_template
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from wtforms import (
    BooleanField,
    DateField,
    Field,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import (
    DataRequired,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    StopValidation,
)

from coordination.ground.errors import CoordinationError, Forbidden, NotFound
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text, clean, half_width
from coordination.web.i18n import switching_language
from coordination.web.request import language


class Bilingual(str):
    """A label or message that turns into the viewer's language when it is shown."""

    __slots__ = ("pair",)
    pair: Text

    def __new__(cls, zh: str, en: str) -> Self:
        made = super().__new__(cls, zh)
        made.pair = Text(zh, en)
        return made

    def __str__(self) -> str:
        return self.pair.in_(language())

    def __html__(self) -> str:
        return str(escape(self.pair.in_(language())))

    def __mod__(self, values: Any) -> Bilingual:
        return Bilingual(self.pair.zh % values, self.pair.en % values)


def both(zh: str, en: str) -> Bilingual:
    """A bilingual label, hint or message for a form field."""
    return Bilingual(zh, en)


REQUIRED = both("请填写此项。", "Fill this in.")
CHOOSE = both("请选择一项。", "Choose one.")


class Required(DataRequired):
    """Must be filled in; says so in both languages."""

    def __init__(self, zh: str = "请填写此项。", en: str = "Fill this in.") -> None:
        super().__init__(both(zh, en))


class Chosen(InputRequired):
    """Must be chosen."""

    def __init__(self, zh: str = "请选择一项。", en: str = "Choose one.") -> None:
        super().__init__(both(zh, en))


class AtMost(Length):
    """At most `longest` characters."""

    def __init__(self, longest: int) -> None:
        super().__init__(
            max=longest,
            message=both("最多 %(max)d 个字。", "Use at most %(max)d characters."),
        )


class Between(NumberRange):
    """A number from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(
            low,
            high,
            both(
                "请填写 %(min)s 到 %(max)s 之间的数字。",
                "Enter a number from %(min)s to %(max)s.",
            ),
        )


class LineField(StringField):
    """One line of text, cleaned."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        self.data = clean(str(valuelist[0])) if valuelist else self.data


class ParagraphField(TextAreaField):
    """Several lines of text, cleaned, with line breaks kept."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        if valuelist:
            self.data = clean(str(valuelist[0]).replace("\r\n", "\n"), lines=True)


class PhoneField(StringField):
    """A mobile number as typed; `.number` is its E.164 form after validation."""

    number: str = ""

    def process_formdata(self, valuelist: list[Any]) -> None:
        self.data = clean(half_width(str(valuelist[0]))) if valuelist else self.data

    def pre_validate(self, form: Any) -> None:  # noqa: ARG002 - WTForms gives it
        number = normal_phone(self.data or "")
        if number is None:
            raise StopValidation(
                both("请填写 11 位手机号码。", "Enter a mobile number, 11 digits.")
            )
        self.number = number


class LocalDateField(DateField):
    """A date, with our message."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata([half_width(str(v)) for v in valuelist])
        except ValueError as error:
            raise ValueError(
                both(
                    "请填写日期，例如 2026-12-04。",
                    "Enter a date, for example 2026-12-04.",
                )
            ) from error


class LocalTimeField(TimeField):
    """A time of day, with our message."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata([half_width(str(v)) for v in valuelist])
        except ValueError as error:
            raise ValueError(
                both("请填写时间，例如 19:00。", "Enter a time, for example 19:00.")
            ) from error


class NumberField(IntegerField):
    """A whole number, full-width digits accepted, with our message."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata([half_width(str(v)) for v in valuelist])
        except ValueError as error:
            raise ValueError(both("请填写整数。", "Enter a whole number.")) from error


class Form(FlaskForm):  # type: ignore[misc]
    """Base of all forms. `refusal` is what the domain said, if it refused."""

    refusal: CoordinationError | None = None

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """WTForms' own messages in the viewer's language; the token is checked by the guard."""

        csrf = False
        locales = False

        def get_translations(self, form: Any) -> Any:  # noqa: ARG002 - WTForms gives it
            from wtforms.i18n import get_translations

            return get_translations(["zh"] if language() == "zh" else ["en"])

    def is_submitted(self) -> bool:
        """A post that only switches the language does not count."""
        return super().is_submitted() and not switching_language()

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(field id, label and message) of every error, in the order of the page."""
        joint = ": " if language() == "en" else "："
        return [
            (field.id, f"{field.label.text}{joint}{message}")
            for field in self
            for message in _flat(field.errors)
        ]


def _flat(errors: Any) -> list[Any]:
    found: list[Any] = []
    for error in errors or ():
        found.extend(_flat(error) if isinstance(error, (list, tuple)) else [error])
    return found


class attempt:  # noqa: N801 - reads as `with attempt(form)`
    """Run a use case; a refusal lands in the form (fields and message) instead of an error page.

    `done.ok` says whether it went through. Forbidden and NotFound are not the form's business.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.ok = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> bool:
        self.ok = error is None
        if not isinstance(error, CoordinationError) or isinstance(error, (Forbidden, NotFound)):
            return False
        self.form.refusal = error
        for name, said in error.fields.items():
            if name in self.form:
                field: Field = self.form[name]
                field.errors = [*field.errors, both(said.zh, said.en)]
        return True


def render_form(template: str, form: Form, **context: Any) -> tuple[str, int]:
    """The page with its form: 200 when just shown, 422 or the refusal's status otherwise."""
    status = 200
    if form.refusal is not None:
        status = form.refusal.status
    elif form.errors:
        status = 422
    return render_template(template, form=form, **context), status


__all__ = [
    "CHOOSE",
    "REQUIRED",
    "AtMost",
    "Between",
    "Bilingual",
    "BooleanField",
    "Chosen",
    "Form",
    "HiddenField",
    "LineField",
    "LocalDateField",
    "LocalTimeField",
    "Markup",
    "NumberField",
    "Optional",
    "ParagraphField",
    "PasswordField",
    "PhoneField",
    "RadioField",
    "Required",
    "SelectField",
    "SelectMultipleField",
    "attempt",
    "both",
    "render_form",
]
