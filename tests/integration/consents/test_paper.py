"""Consents on paper and by word of mouth: the letters, what is written down, who is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
import segno
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.consents import paper, queries, services
from coordination.domain.consents.models import ConsentAnswer, ConsentAsk, ConsentRequest
from coordination.domain.people.models import ClassMember, ContactPoint, Guardianship
from coordination.ground import clock
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate
from coordination.ground.uow import UnitOfWork
from coordination.reactions.deliveries import Resolver
from notifications.values import Address
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, ZONE, Outing, all_at_once, meet

Visit = Callable[[str], FlaskClient]


@pytest.fixture
def asked(stage: Outing) -> int:
    """A session for which class 3(2) is signed up."""
    session = stage.plan()
    stage.enrol(session)
    return session


def record(
    stage: Outing,
    session: int,
    guardian: str,
    child: str,
    response: str = "given",
    *,
    by: str = "teacher",
    route: str = "paper",
    note: str = "",
    last_id: int = 0,
    request_id: int | None = None,
) -> str:
    return stage.act(
        by,
        lambda uow: paper.record(
            uow,
            request_id=request_id or stage.request_of(session),
            child_id=stage.world.people[child],
            guardian_id=stage.world.people[guardian],
            response=response,
            route=route,
            note=note,
            last_id=last_id,
            today=clock.today(ZONE),
        ),
    )


def answers(stage: Outing) -> list[ConsentAnswer]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(session.scalars(select(ConsentAnswer).order_by(ConsentAnswer.id)))


def set_guardianship(stage: Outing, role: str, **values: object) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people[role])
            .values(**values)
        )
        session.commit()


def children(page: str) -> list[str]:
    """The children whom the slips name, in their order."""
    return re.findall(r"<p><strong>([^<]+)</strong> · ", page)


def letters(stage: Outing, session: int) -> str:
    return f"/consents/{stage.request_of(session)}/letters"


def slip(stage: Outing, session: int, child: str) -> str:
    return f"/consents/{stage.request_of(session)}/children/{stage.world.people[child]}"


# -- the letters ----------------------------------------------------------------------------------


def test_a_sheet_for_each_child_of_the_own_class_whose_family_is_silent(
    stage: Outing, visit: Visit, asked: int
) -> None:
    stage.enrol(asked, "class_c", role="teacher_c")
    stage.answer(asked, "friend_mother", "friend", "refused")
    page = visit("teacher").get(letters(stage, asked)).text
    assert sorted(children(page)) == sorted(["王小雨", "王小宇", "赵一诺"])
    # the office of the school sees every class of its own
    assert len(children(visit("school_admin").get(letters(stage, asked)).text)) == 6
    for role in ("teacher_b", "school_admin_b", "coordinator", "district_admin"):
        assert visit(role).get(letters(stage, asked)).status_code == 404
    assert visit("partner").get(letters(stage, asked)).status_code == 403
    assert visit("guardian").get(letters(stage, asked)).status_code == 403


def test_it_says_what_the_page_says_and_names_no_guardian(
    stage: Outing, visit: Visit, asked: int
) -> None:
    page = visit("teacher").get(letters(stage, asked)).text
    sheet = page[page.index("letter-sheet") : page.rindex('class="qr"')]
    with Session(stage.engine) as session:
        body = queries.request_for(
            session, stage.actor("guardian"), stage.request_of(asked)
        ).request.body_zh
    assert "时间：12月11日（周五）08:30–15:30" in body and body in sheet
    for said in ("□ 同意孩子参加", "□ 不同意参加", "家长签名", "监护人姓名", "第 1 版"):
        assert said in sheet
    assert "12月10日（周四）08:30前" in sheet  # until when to bring it back
    for name in ("王敏", "王强", "赵兰", "李刚"):
        assert name not in sheet
    assert not re.search(r"1\d\d\*{4}\d{4}|1\d{10}", sheet)


def test_it_is_in_the_language_that_the_family_reads(
    stage: Outing, visit: Visit, asked: int
) -> None:
    page = visit("teacher").get(letters(stage, asked)).text
    by_child = {
        children(sheet)[0]: sheet for sheet in page.split('<section class="card letter-sheet"')[1:]
    }
    assert 'lang="en"' in by_child["赵一诺"] and "We do not agree" in by_child["赵一诺"]
    assert 'lang="zh-CN"' in by_child["李想"]


def test_whoever_nobody_may_sign_for_gets_no_letter_but_is_named(
    stage: Outing, visit: Visit, asked: int
) -> None:
    set_guardianship(stage, "english", may_consent=False)
    page = visit("teacher").get(letters(stage, asked)).text
    assert "赵一诺" not in children(page) and "没有人可以签字（1）" in page and "赵一诺" in page
    assert (
        "没有登记可以代表孩子答复的监护人"
        in visit("teacher").get(slip(stage, asked, "reader")).text
    )


def test_the_code_of_the_slip_opens_the_child(
    stage: Outing, visit: Visit, app: Flask, asked: int
) -> None:
    teacher = visit("teacher")
    address = slip(stage, asked, "reader")
    drawn = segno.make(f"{app.config['PUBLIC_URL']}{address}", error="m").svg_inline(
        border=0, omitsize=True, svgclass=None, lineclass=None
    )
    assert drawn in teacher.get(letters(stage, asked)).text
    page = teacher.get(address).text
    assert "赵一诺" in page and "Anna Smith" in page and "还没有人答复" in page


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_to_print_when_all_have_answered(
    stage: Outing, visit: Visit, asked: int, language: str
) -> None:
    for role, child in (
        ("guardian", "child"),
        ("guardian", "brother"),
        ("friend_father", "friend"),
        ("english", "reader"),
    ):
        stage.answer(asked, role, child)
    page = visit("teacher").get(f"{letters(stage, asked)}?lang={language}").text
    assert ("不用印了" if language == "zh" else "Nothing to print") in page
    assert not children(page)
    assert letters(stage, asked) not in visit("teacher").get(f"/activities/sessions/{asked}").text


def test_a_letter_of_an_old_plan_is_not_printed(stage: Outing, visit: Visit, asked: int) -> None:
    old = letters(stage, asked)
    stage.move(asked, FRIDAY + DAY)
    page = visit("teacher").get(old).text
    assert not children(page) and letters(stage, asked) in page
    assert len(children(visit("teacher").get(letters(stage, asked)).text)) == 4


def test_after_the_time_to_answer_it_is_too_late_for_paper(stage: Outing, visit: Visit) -> None:
    session = stage.plan(NOW + 20 * HOUR, signup_until=NOW + HOUR)
    stage.enrol(session)
    clock.travel_to(NOW + 2 * HOUR)
    page = visit("teacher").get(letters(stage, session)).text
    assert not children(page) and "请打电话问家长" in page
    assert "登记一个答复" in visit("teacher").get(slip(stage, session, "child")).text


def test_of_what_is_cancelled_nothing_is_printed(stage: Outing, visit: Visit, asked: int) -> None:
    stage.cancel(asked)
    page = visit("teacher").get(letters(stage, asked)).text
    assert not children(page) and "活动已取消" in page


def test_the_page_of_the_session_leads_to_both(stage: Outing, visit: Visit, asked: int) -> None:
    address = f"/activities/sessions/{asked}"
    for role in ("teacher", "school_admin"):
        page = visit(role).get(address).text
        assert letters(stage, asked) in page and slip(stage, asked, "friend") in page
    for role in ("coordinator", "partner"):
        page = visit(role).get(address).text
        assert "/consents/" not in page


# -- writing down ---------------------------------------------------------------------------------


def test_a_slip_is_written_down_and_the_guardian_told(
    stage: Outing, visit: Visit, asked: int
) -> None:
    teacher, address = visit("teacher"), slip(stage, asked, "child")
    done = teacher.post(
        address,
        data={
            "guardian": str(stage.world.people["guardian"]),
            "response": "given",
            "route": "paper",
            "last": "0",
        },
        follow_redirects=True,
    )
    assert "已登记答复" in done.text and "李静 登记" in done.text
    (kept,) = answers(stage)
    assert (kept.guardian_id, kept.response, kept.route, kept.recorded_by_id) == (
        stage.world.people["guardian"],
        "given",
        "paper",
        stage.world.people["teacher"],
    )
    assert (kept.signed_name, len(kept.text_hash)) == ("王敏", 64)
    states = stage.states(asked)
    assert (states["child"], states["brother"]) == ("cleared", "enrolled")
    (told,) = stage.messages("consent_recorded")
    assert told.recipient_id == stage.world.people["guardian"]
    assert "王*雨" in told.body and "小宇" not in told.body
    assert "同意（纸质回执）" in told.body
    page = visit("guardian").get(f"/consents/{stage.request_of(asked)}").text
    assert "学校已登记您的答复：同意" in page and "李静 登记" in page
    # the code of the text opens the answer, to change it
    (code,) = re.findall(r"[0-9A-Z]{5}-[0-9A-Z]{5}", told.body)
    changed = visit("volunteer").post(
        f"/consents/open/{code}",
        data={
            "child_id": str(stage.world.people["child"]),
            "response": "refused",
            "signed_name": "王敏",
        },
        follow_redirects=True,
    )
    assert "您已选择：不同意" in changed.text
    assert stage.states(asked)["child"] == "refused"
    assert [a.response for a in answers(stage)] == ["given", "refused"]
    assert "王敏：不同意" in teacher.get(address).text  # what stands, and what stood before
    assert "王敏：同意" in teacher.get(address).text


def test_the_text_is_in_the_readers_language(stage: Outing, asked: int) -> None:
    record(stage, asked, "english", "reader", "refused", route="phone", note="called at 5 pm")
    (told,) = stage.messages("consent_recorded")
    assert "noted your answer: Not agreed (By phone)" in told.body
    (kept,) = answers(stage)
    assert (kept.language, kept.note) == ("en", "called at 5 pm")
    assert stage.session(asked).taken == 3  # the place goes to the next


def test_whoever_has_no_phone_is_written_to_by_nobody(stage: Outing, asked: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            ContactPoint.__table__.delete().where(
                ContactPoint.person_id == stage.world.people["english"]
            )
        )
        session.commit()
    record(stage, asked, "english", "reader")
    assert stage.messages("consent_recorded") == []
    assert stage.states(asked)["reader"] == "cleared"


def test_custody_that_changes_before_the_text_leaves_keeps_it_back(
    stage: Outing, asked: int
) -> None:
    # his brother goes too, and stays hers: the text about the other is not
    record(stage, asked, "guardian", "child")
    (told,) = stage.messages("consent_recorded")

    def found() -> object:
        with stage.engine.connect() as connection:
            return Resolver(ZONE).resolve(connection, [told])[told.id]

    assert isinstance(found(), Address)
    with Session(stage.engine) as session:
        session.execute(
            update(Guardianship)
            .where(
                Guardianship.guardian_id == stage.world.people["guardian"],
                Guardianship.child_id == stage.world.people["child"],
            )
            .values(no_disclosure=True)
        )
        session.commit()
    assert not isinstance(found(), Address)


@pytest.mark.parametrize("role", ["restricted", "former", "guardian_b", "teacher"])
def test_nobody_else_can_be_named_as_the_one_who_answered(
    stage: Outing, visit: Visit, asked: int, role: str
) -> None:
    with pytest.raises(Invalid) as refused:
        record(stage, asked, role, "child")
    assert "guardian" in refused.value.fields
    assert answers(stage) == [] and stage.messages("consent_recorded") == []
    page = visit("teacher").get(slip(stage, asked, "child")).text
    offered = page[page.index("<form") :]
    assert str(stage.world.people[role]) not in re.findall(
        r'name="guardian" value="(\d+)"', offered
    )


def test_a_guardian_without_the_right_to_consent_cannot_be_named(stage: Outing, asked: int) -> None:
    set_guardianship(stage, "friend_father", may_consent=False)
    with pytest.raises(Invalid):
        record(stage, asked, "friend_father", "friend")
    assert record(stage, asked, "friend_mother", "friend") == "given"


@pytest.mark.parametrize(
    "by",
    [
        "teacher_b",
        "teacher_c",
        "school_admin_b",
        "coordinator",
        "district_admin",
        "partner",
        "guardian",
    ],
)
def test_only_the_school_and_the_class_teacher_write_down(
    stage: Outing, asked: int, by: str
) -> None:
    with pytest.raises(NotFound):
        record(stage, asked, "guardian", "child", by=by)
    assert answers(stage) == []
    assert record(stage, asked, "guardian", "child", by="school_admin") == "given"


def test_a_child_that_changes_class_goes_with_its_teacher(stage: Outing, asked: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(ClassMember)
            .where(ClassMember.person_id == stage.world.people["reader"])
            .values(class_id=stage.world.things["class_c"])
        )
        session.commit()
    with pytest.raises(NotFound):
        record(stage, asked, "english", "reader")
    assert record(stage, asked, "english", "reader", by="teacher_c") == "given"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"response": ""}, "response"),
        ({"response": "withdrawn"}, "response"),
        ({"route": "web"}, "route"),
        ({"route": "code"}, "route"),
        ({"route": "phone"}, "note"),
        ({"route": "in_person"}, "note"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_what_is_missing_is_named(
    stage: Outing, asked: int, values: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        record(stage, asked, "guardian", "child", **values)
    assert list(refused.value.fields) == [field]
    assert answers(stage) == []


def test_a_refusal_keeps_what_was_typed(stage: Outing, visit: Visit, asked: int) -> None:
    page = visit("teacher").post(
        slip(stage, asked, "friend"),
        data={
            "guardian": str(stage.world.people["friend_father"]),
            "response": "refused",
            "route": "in_person",
            "last": "0",
        },
    )
    assert page.status_code == 422 and "口头答复请简单写明" in page.text
    for kept in (str(stage.world.people["friend_father"]), "refused", "in_person"):
        assert f'value="{kept}" checked' in page.text
    empty = visit("teacher").post(slip(stage, asked, "friend"), data={})
    assert empty.status_code == 422 and "请选择一项" in empty.text


def test_a_slip_of_the_old_plan_is_refused(stage: Outing, visit: Visit, asked: int) -> None:
    old, address = stage.request_of(asked), slip(stage, asked, "child")
    stage.move(asked, FRIDAY + DAY)
    with pytest.raises(TooLate) as refused:
        record(stage, asked, "guardian", "child", request_id=old)
    assert refused.value.code == "consent_replaced" and "第 1 版" in refused.value.message.zh
    for page in (
        visit("teacher").get(address),
        visit("teacher").post(
            address,
            data={
                "guardian": str(stage.world.people["guardian"]),
                "response": "given",
                "route": "paper",
                "last": "0",
            },
        ),
    ):
        assert "这一版的回执不能再登记" in page.text
        assert letters(stage, asked) in page.text and slip(stage, asked, "child") in page.text
    assert answers(stage) == []
    assert record(stage, asked, "guardian", "child") == "given"


def test_a_slip_of_a_cancelled_session_is_refused(stage: Outing, visit: Visit, asked: int) -> None:
    stage.cancel(asked)
    with pytest.raises(TooLate) as refused:
        record(stage, asked, "guardian", "child")
    assert refused.value.code == "consent_closed"
    page = visit("teacher").get(slip(stage, asked, "child")).text
    assert "活动已取消" in page and "登记一个答复" not in page


def test_the_school_can_note_an_answer_until_the_session_begins(stage: Outing, asked: int) -> None:
    clock.travel_to(FRIDAY - HOUR)
    record(stage, asked, "guardian", "child", route="phone", note="早上七点半来电")
    assert stage.states(asked)["child"] == "cleared"
    clock.travel_to(FRIDAY)
    with pytest.raises(TooLate):
        record(stage, asked, "guardian", "brother")
    assert len(answers(stage)) == 1


def test_what_the_school_noted_can_be_put_right_for_two_days(stage: Outing) -> None:
    session = stage.plan(NOW + 70 * HOUR, signup_until=NOW + HOUR)
    stage.enrol(session)  # to be answered within 46 hours
    clock.travel_to(NOW + 47 * HOUR)
    record(stage, session, "guardian", "child", route="phone", note="上午来电")
    clock.travel_to(NOW + 69 * HOUR)
    with pytest.raises(TooLate):
        stage.answer(session, "guardian", "brother", "refused")
    assert stage.answer(session, "guardian", "child", "refused") == "refused"
    with pytest.raises(TooLate):  # that was the family's own word, in time once
        stage.answer(session, "guardian", "child", "given")
    assert [a.response for a in answers(stage)] == ["given", "refused"]


def test_two_days_later_it_stands(stage: Outing, visit: Visit) -> None:
    session = stage.plan(NOW + 90 * HOUR, signup_until=NOW + HOUR)
    stage.enrol(session)  # to be answered within 66 hours
    record(stage, session, "guardian", "child")
    page = visit("guardian").get(f"/consents/{stage.request_of(session)}").text
    assert "如有不符，请在 2026年11月27日（周五）03:00 前更改。" in page
    clock.travel_to(NOW + 67 * HOUR)
    with pytest.raises(TooLate):
        stage.answer(session, "guardian", "child", "refused")


def test_a_disagreement_on_paper_clears_nobody(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend", "given")
    (mothers,) = answers(stage)
    said = record(stage, asked, "friend_father", "friend", "refused", last_id=mothers.id)
    assert said == "conflict"
    assert stage.states(asked)["friend"] == "enrolled"


def test_a_guardians_own_no_is_not_turned_into_a_yes(stage: Outing, asked: int) -> None:
    stage.answer(asked, "friend_mother", "friend", "refused")
    last = answers(stage)[-1].id
    with pytest.raises(Conflict) as refused:
        record(stage, asked, "friend_mother", "friend", last_id=last)
    assert refused.value.code == "consent_own_answer"
    # a no may be noted beside it, which opens no way round
    record(stage, asked, "friend_mother", "friend", "refused", last_id=last)
    with pytest.raises(Conflict):
        record(stage, asked, "friend_mother", "friend", last_id=answers(stage)[-1].id)
    # they themselves may
    stage.answer(asked, "friend_mother", "friend", "given")
    assert [a.response for a in answers(stage)] == ["refused", "refused", "given"]


def test_the_database_wants_to_know_who_wrote_it_down(stage: Outing, asked: int) -> None:
    record(stage, asked, "guardian", "child")
    for change in ("recorded_by_id = null", "route = 'web'"):
        with pytest.raises(IntegrityError, match="ck_consent_answer_recorded"):
            stage.sql(f"update consent_answer set {change}")


# -- who is later sees what stands ----------------------------------------------------------------


def test_who_answers_meanwhile_is_shown_first(stage: Outing, visit: Visit, asked: int) -> None:
    teacher, address = visit("teacher"), slip(stage, asked, "friend")
    typed = {
        "guardian": str(stage.world.people["friend_father"]),
        "response": "refused",
        "route": "phone",
        "note": "下午来电",
        "last": "0",
    }
    stage.answer(asked, "friend_mother", "friend", "given", signed="赵兰")
    page = teacher.post(address, data=typed)
    assert page.status_code == 409
    assert "刚刚有了新的答复" in page.text and "赵兰：同意" in page.text
    assert 'value="下午来电"' in page.text and 'value="refused" checked' in page.text
    assert len(answers(stage)) == 1
    # whoever has seen it may note the father's answer as well
    (last,) = re.findall(r'name="last" type="hidden" value="(\d+)"', page.text)
    again = teacher.post(address, data={**typed, "last": last}, follow_redirects=True)
    assert "监护人意见不一致" in again.text
    assert [a.response for a in answers(stage)] == ["given", "refused"]


def two_write_down(stage: Outing, session: int) -> list[str]:
    return all_at_once(
        partial(record, stage, session, "friend_mother", "friend"),
        partial(record, stage, session, "friend_mother", "friend", "refused", by="school_admin"),
    )


def test_of_two_who_write_down_at_once_the_later_sees_the_first(stage: Outing, asked: int) -> None:
    assert sorted(two_write_down(stage, asked)) == ["consent_answered_meanwhile", "ok"]
    (kept,) = answers(stage)
    assert stage.states(asked)["friend"] == ("cleared" if kept.response == "given" else "refused")
    assert len(stage.messages("consent_recorded")) == 1


def test_without_the_lock_both_are_written_unseen(
    stage: Outing, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlocked(uow: UnitOfWork, *, request_id: int, child_id: int) -> ConsentAsk | None:
        return uow.session.scalar(
            select(ConsentAsk).where(
                ConsentAsk.request_id == request_id, ConsentAsk.child_id == child_id
            )
        )

    keep = services.keep

    def kept(uow: UnitOfWork, *, request: ConsentRequest, given: ConsentAnswer) -> str:
        meet()  # both have looked for a newer answer and found none
        return keep(uow, request=request, given=given)

    monkeypatch.setattr(services, "lock_ask", unlocked)
    monkeypatch.setattr(services, "keep", kept)
    assert two_write_down(stage, asked) == ["ok", "ok"]
    assert len(answers(stage)) == 2


def test_a_parent_and_a_teacher_at_once_lose_nothing(stage: Outing, asked: int) -> None:
    done = all_at_once(
        partial(stage.answer, asked, "friend_mother", "friend", "refused"),
        partial(record, stage, asked, "friend_mother", "friend", "given"),
    )
    assert done[0] == "ok"  # the family's own word is never kept out
    kept = [a.response for a in answers(stage)]
    if done[1] == "ok":
        assert kept == ["given", "refused"]
    else:
        assert (done[1], kept) == ("consent_answered_meanwhile", ["refused"])
    assert stage.states(asked)["friend"] == "refused"
