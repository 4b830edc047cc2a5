"""The style page: every component once, with made-up content. Development only."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint
from flask.typing import ResponseReturnValue
from wtforms import FileField

from coordination.ground import clock
from coordination.web.forms import (
    BooleanField,
    Chosen,
    Form,
    LineField,
    LocalDateField,
    LocalTimeField,
    NumberField,
    ParagraphField,
    PhoneField,
    RadioField,
    Required,
    SelectField,
    SelectMultipleField,
    both,
    render_form,
)
from coordination.web.guards import Access, guard
from coordination.web.paging import Page, page_number
from coordination.web.when import today

bp = Blueprint("styleguide", __name__)


class Sample(Form):
    """One field of each kind."""

    title = LineField(both("标题", "Title"), [Required()])
    phone = PhoneField(both("手机号码", "Mobile number"))
    day = LocalDateField(both("日期", "Date"), [Required()])
    at = LocalTimeField(both("时间", "Time"), [Required()])
    people = NumberField(both("人数", "People"), [Required()])
    kind = SelectField(
        both("类型", "Kind"),
        choices=[("room", both("场地", "Room")), ("course", both("课程", "Course"))],
    )
    answer = RadioField(
        both("您的答复", "Your answer"),
        [Chosen()],
        choices=[
            ("yes", both("参加", "We will come")),
            ("no", both("不能参加", "We cannot come")),
        ],
    )
    classes = SelectMultipleField(
        both("班级", "Classes"),
        choices=[
            ("31", both("三（1）班", "Class 3(1)")),
            ("32", both("三（2）班", "Class 3(2)")),
        ],
    )
    text = ParagraphField(both("内容", "Text"), [Required()])
    file = FileField(both("文件", "File"))
    agree = BooleanField(both("我已阅读并理解", "I have read and understood this"))


@bp.route("/styleguide", methods=["GET", "POST"])
@guard(Access.DEVELOPMENT)
def index() -> ResponseReturnValue:
    """All components."""
    form = Sample()
    form.validate_on_submit()
    monday = today() - timedelta(days=today().weekday())
    return render_form(
        "styleguide/index.html",
        form,
        now=clock.now(),
        days=[monday + timedelta(days=n) for n in range(7)],
        page=Page(["a"], page_number(), True),
    )
