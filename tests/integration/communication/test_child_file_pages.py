"""A file for each child, as teacher and family press it; and how the file itself is handed out."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.people.models import AccountSession
from coordination.ground import clock, crypto
from tests.build.papers import JPEG, pdf, png, zipped
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
WORDS = {
    "draft_key": "page-files",
    "title_zh": "期末学习情况",
    "title_en": "Term report",
    "body_zh": "请打开查看。",
    "body_en": "Please open the file.",
    "level": "confirm",
    "begins": "text",
    "ladder": "",
}
ALL = [("王小雨.pdf", pdf()), ("王小宇.png", png()), ("李想.jpg", JPEG)]


@pytest.fixture(autouse=True)
def _signed_in(stage: Stage) -> None:
    """The guardians of 李想 have sessions too."""
    with Session(stage.engine) as session, session.begin():
        for role in ("friend_mother", "english"):
            stage.world.tokens[role] = token = f"token-of-{role}"
            session.add(
                AccountSession(
                    person_id=stage.world.people[role],
                    token_hash=crypto.token_hash(token),
                    route="code",
                    last_seen_at=clock.now(),
                    expires_at=clock.now() + timedelta(days=1),
                )
            )


def files(*handed: tuple[str, bytes]) -> list[tuple[io.BytesIO, str]]:
    return [(io.BytesIO(body), name) for name, body in handed]


def upload(client: FlaskClient, stage: Stage, *handed: tuple[str, bytes], **more: Any) -> Any:
    data = {**WORDS, "class_id": stage.world.things["class_a"], "files": files(*handed), **more}
    return client.post("/notices/files/new", data=data)


def sent(stage: Stage, visit: Visit, *handed: tuple[str, bytes]) -> int:
    client = visit("teacher")
    place = upload(client, stage, *(handed or ALL)).headers["Location"]
    answer = client.post(place, data={**WORDS, "step": "send"})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return int(answer.headers["Location"].rsplit("/", 1)[1])


def code_of(stage: Stage, notice: int, role: str) -> str:
    whom = stage.world.people[role]
    body = next(m.body or "" for m in stage.messages(notice) if m.recipient_id == whom)
    found = re.search(r"\b([0-9A-Z]{5})-([0-9A-Z]{5})\b", body)
    assert found, body
    return found.group(1) + found.group(2)


def test_a_teacher_uploads_checks_and_sends(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    assert "/notices/files/new" in client.get("/notices/").text
    page = client.get("/notices/files/new").text
    assert "三（2）班" in page and 'enctype="multipart/form-data"' in page
    answer = upload(client, stage, *ALL[:2])
    assert answer.status_code == 303
    place = answer.headers["Location"]
    page = client.get(place).text
    for part in ("王小雨.pdf", "王小宇.png", "没有文件的孩子（1）", "把 2 份材料发给 1 位家长"):
        assert part in page
    for page in (client.get("/notices/"), client.get("/")):
        assert place in page.text
    child = stage.world.people["friend"]
    more = {"child_id": str(child), "files": files(("IMG_1.jpg", JPEG))}
    assert client.post(f"{place}/add", data=more).status_code == 303
    assert "把 3 份材料发给 5 位家长" in client.get(place).text
    assert client.post(f"{place}/remove/{child}").status_code == 303
    answer = client.post(place, data={**WORDS, "title_zh": "期末情况", "step": "send"})
    assert answer.status_code == 303
    page = client.get(answer.headers["Location"]).text
    assert "期末情况" in page and "家里已打开" in page and "0 / 2" in page
    # back, or once more: it is sent, and that is what one sees
    for again in (client.get(place), client.post(place, data={**WORDS, "step": "send"})):
        assert (again.status_code, again.headers["Location"]) == (303, answer.headers["Location"])
    assert client.post(f"{place}/remove/{child}").status_code == 303
    assert client.post(f"{place}/discard").headers["Location"] == answer.headers["Location"]
    assert stage.told(int(answer.headers["Location"].rsplit("/", 1)[1])) == {"guardian"}


def test_refused_files_are_named_with_reason_and_remedy_and_the_others_kept(
    stage: Stage, visit: Visit
) -> None:
    client = visit("teacher")
    answer = upload(
        client, stage, ("王小雨.pdf", pdf()), ("王小宇.pdf", b"<html>"), ("谁.pdf", pdf())
    )
    page = answer.text
    assert answer.status_code == 422
    for part in ("有 2 个文件没有收下", "王小宇.pdf", "不是 PDF、PNG 或 JPEG", "谁.pdf", "请改名"):
        assert part in page
    assert "把 1 份材料发给 1 位家长" in page
    # the same once more: what is kept is kept
    assert upload(client, stage, ("王小雨.pdf", pdf())).status_code == 303
    with stage.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from child_file")) == 1


@pytest.mark.parametrize(
    ("handed", "more", "said"),
    [
        ([], {}, "没有收到文件"),
        ([("a.zip", zipped([])[:-2] + b"xx")], {}, "没有收到文件|已损坏"),
        (ALL, {"title_en": ""}, "两种语言都要有"),
        (ALL, {"class_id": "0"}, "班"),
        (ALL, {"class_id": "abc"}, "班"),
        (ALL, {"due_on": "2020-01-01"}, "截止时间已过"),
        (ALL, {"body_zh": "王小雨 95分"}, "不能群发"),
        (ALL, {"level": "nonsense"}, "需要家长做什么"),
    ],
)
def test_a_refused_upload_keeps_the_words_and_no_file(
    stage: Stage, visit: Visit, handed: Any, more: dict[str, str], said: str
) -> None:
    answer = upload(visit("teacher"), stage, *handed, **more)
    page = answer.text
    assert answer.status_code == 422
    assert re.search(said, page)
    assert "期末学习情况" in page
    with stage.engine.connect() as connection:
        assert connection.scalar(text("select count(*) from child_file")) == 0
        assert connection.scalar(text("select count(*) from notice where state = 'draft'")) == 0


def test_a_class_from_a_phone_fits_and_what_does_not_is_said(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    large = pdf("x", b"(" + b"a" * 1_990_000 + b")")
    answer = upload(client, stage, *[(f"{n}.pdf", large) for n in range(11)])
    assert answer.status_code == 422
    assert "合计超过 20 MB" in answer.text and "期末学习情况" in answer.text
    # beyond what a page reads at all
    answer = upload(client, stage, *[(f"{n}.pdf", large) for n in range(13)])
    assert answer.status_code == 413 and "20 MB" in answer.text
    handed = [("王小雨.pdf", large), ("王小宇.pdf", large), ("李想.pdf", large)]
    place = upload(client, stage, *handed).headers["Location"]
    number, child = place.rsplit("/", 1)[1], stage.world.people["child"]
    assert client.post(f"/notices/{number}/files/{child}").data == large


def test_more_files_that_are_refused_leave_the_draft_as_it_is(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    place = upload(client, stage, *ALL[:1]).headers["Location"]
    for data, said in (
        ({"child_id": ""}, "没有收到文件"),
        ({"child_id": "", "files": files(("x.pdf", pdf()))}, "有 1 个文件没有收下"),
        ({"child_id": str(stage.world.people["child_b"])}, 'class="field wrong"'),
        (
            {
                "child_id": str(stage.world.people["friend"]),
                "files": files(("a.pdf", pdf()), ("b.pdf", pdf())),
            },
            "只选一个文件",
        ),
    ):
        answer = client.post(f"{place}/add", data=data)
        assert answer.status_code == 422
        assert said in answer.text
    assert client.get(f"{place}/add").headers["Location"] == place
    assert "把 1 份材料发给 1 位家长" in client.get(place).text


def test_doubts_about_the_words_are_ticked_before_it_leaves(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    place = upload(client, stage, *ALL, body_zh="成绩单请打开查看。").headers["Location"]
    assert "我已逐条核对" in client.get(place).text
    doubtful = {**WORDS, "body_zh": "成绩单请打开查看。", "step": "send"}
    answer = client.post(place, data=doubtful)
    assert answer.status_code == 422 and "再勾选确认" in answer.text
    answer = client.post(place, data={**doubtful, "looked_at": "score"})
    assert answer.status_code == 303 and "/files/" not in answer.headers["Location"]


def test_words_are_saved_without_sending(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    place = upload(client, stage, *ALL).headers["Location"]
    page = client.get(place).text
    # the Enter key presses the first button of a form
    assert 0 < page.index('value="save"') < page.index('value="send"')
    answer = client.post(place, data={**WORDS, "title_zh": "另一个标题", "step": "save"})
    assert answer.headers["Location"] == place
    assert "另一个标题" in client.get(place).text
    assert stage.messages(int(place.rsplit("/", 1)[1])) == []


def test_a_family_opens_its_file_by_the_code_of_the_text(stage: Stage, visit: Visit) -> None:
    notice = sent(stage, visit)
    nobody, code = visit("anonymous"), code_of(stage, notice, "guardian")
    page = nobody.get(f"/notices/open/{code}").text
    here = f"/notices/open/{code}/files/{stage.world.people['child']}"
    assert here in page
    assert f"/files/{stage.world.people['brother']}" in page
    assert f"/files/{stage.world.people['friend']}" not in page
    # a look opens nothing before the button is pressed, and notes nothing
    before = stage.fingerprint()
    assert nobody.get(here).headers["Location"] == f"/notices/open/{code}"
    assert stage.fingerprint() == before
    pressed = nobody.post(here)
    assert (pressed.status_code, pressed.headers["Location"]) == (303, here)
    before = stage.fingerprint()
    answer = nobody.get(here)
    assert answer.status_code == 200 and answer.data == pdf()
    assert stage.fingerprint() == before
    assert (
        nobody.post(f"/notices/open/{code}/files/{stage.world.people['friend']}").status_code == 404
    )
    # signed in it is the same
    mine = f"/notices/mine/{notice}/files/{stage.world.people['child']}"
    assert mine in visit("guardian").get(f"/notices/mine/{notice}").text
    assert visit("guardian").get(mine).data == pdf()
    page = visit("teacher").get(f"/notices/{notice}").text
    assert "1 / 3" in page and "王敏" in page


def test_behind_the_code_of_several_notices_too(stage: Stage, visit: Visit) -> None:
    notice = sent(stage, visit)
    stage.send(key="another")
    stage.deliver()
    with stage.engine.connect() as connection:
        (body,) = connection.scalars(
            text("select body from outbox_message where recipient_id = :r and state = 'delivered'"),
            {"r": stage.world.people["guardian"]},
        )
    code = body[-11:].replace("-", "")
    nobody = visit("anonymous")
    here = f"/notices/together/{code}/{notice}"
    page = nobody.get(here)
    child = stage.world.people["child"]
    assert f"{here}/files/{child}" in page.text
    assert nobody.get(f"{here}/files/{child}").headers["Location"] == here
    assert nobody.post(f"{here}/files/{child}").status_code == 303
    assert nobody.get(f"{here}/files/{child}").data == pdf()
    assert nobody.post(f"{here}/files/{stage.world.people['friend']}").status_code == 404
    assert nobody.post(f"/notices/together/{code}/{notice + 5}/files/{child}").status_code == 404


@pytest.mark.parametrize(
    ("child", "mime", "how", "ending"),
    [
        ("child", "application/pdf", "attachment", "pdf"),
        ("brother", "image/png", "inline", "png"),
        ("friend", "image/jpeg", "inline", "jpg"),
    ],
)
def test_a_file_is_handed_out_to_be_kept_by_nobody_and_to_run_nothing(
    stage: Stage, visit: Visit, child: str, mime: str, how: str, ending: str
) -> None:
    notice = sent(stage, visit)
    whose = stage.world.people[child]
    role = "english" if child == "friend" else "guardian"
    client = visit(role)
    path = f"/notices/mine/{notice}/files/{whose}"
    client.post(path)
    by_family = client.get(path)
    by_school = visit("teacher").post(f"/notices/{notice}/files/{whose}")
    for answer in (by_family, by_school):
        headers = answer.headers
        assert answer.status_code == 200
        assert headers["Content-Type"] == mime
        assert headers["Cache-Control"] == "private, no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "sandbox" in policy and "default-src 'none'" in policy and "script" not in policy
        assert "ETag" not in headers and "Last-Modified" not in headers
        shown = unquote(headers["Content-Disposition"])
        assert shown.startswith(how) and shown.rstrip('"').endswith(f".{ending}")
        # under the name of the matter, never under that which was typed
        assert "Term report" in shown or "期末学习情况" in shown


@pytest.mark.parametrize(
    "role",
    ["guardian_b", "restricted", "former", "friend_mother", "teacher", "coordinator", "partner"],
)
def test_an_address_that_was_passed_on_opens_nothing(stage: Stage, visit: Visit, role: str) -> None:
    notice = sent(stage, visit)
    path = f"/notices/mine/{notice}/files/{stage.world.people['child']}"
    assert visit("guardian").post(path).status_code == 303
    for answer in (visit(role).get(path), visit(role).post(path)):
        assert answer.status_code in (403, 404), role
        assert pdf() not in answer.data
    assert visit("anonymous").get(path).status_code in (302, 303)


@pytest.mark.parametrize(
    "role", ["teacher_b", "school_admin_b", "district_admin", "coordinator", "partner", "guardian"]
)
def test_no_other_staff_sees_the_draft_or_looks(stage: Stage, visit: Visit, role: str) -> None:
    draft = upload(visit("teacher"), stage, *ALL).headers["Location"]
    number = draft.rsplit("/", 1)[1]
    child = stage.world.people["child"]
    client = visit(role)
    assert client.get(draft).status_code in (403, 404)
    for path in (
        draft,
        f"{draft}/add",
        f"{draft}/remove/{child}",
        f"{draft}/discard",
        f"/notices/{number}/files/{child}",
    ):
        answer = client.post(path, data=WORDS)
        assert answer.status_code in (403, 404), path
    assert visit("teacher").get(f"/notices/{number}").status_code == 404


def test_what_is_taken_back_is_gone_for_family_and_teacher(stage: Stage, visit: Visit) -> None:
    notice = sent(stage, visit)
    child = stage.world.people["child"]
    path = f"/notices/mine/{notice}/files/{child}"
    visit("guardian").post(path)
    stage.deliver()  # all texts have left: it can be taken back all the same
    client = visit("teacher")
    assert "收回材料" in client.get(f"/notices/{notice}").text
    assert "再也打不开" in client.get(f"/notices/{notice}/stop").text
    assert client.post(f"/notices/{notice}/stop").status_code == 303
    page = client.get(f"/notices/{notice}").text
    assert "材料已收回" in page and "/files/" not in page
    page = visit("guardian").get(f"/notices/mine/{notice}").text
    assert "已收回" in page and "/files/" not in page
    for answer in (
        visit("guardian").get(path),
        visit("guardian").post(path),
        client.post(f"/notices/{notice}/files/{child}"),
    ):
        assert answer.status_code == 410


def test_the_pages_speak_english_too(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    assert "A file per child" in client.get("/notices/files/new?lang=en").text
    place = upload(client, stage, *ALL[:1]).headers["Location"]
    page = client.get(f"{place}?lang=en").text
    assert "Send to 1 guardian (files: 1)" in page
    answer = client.post(f"{place}/add?lang=en", data={"files": files(("x.pdf", pdf()))})
    assert "Files that were not taken: 1" in answer.text and "Rename it" in answer.text
    notice = sent(stage, visit)
    page = visit("english").get(f"/notices/mine/{notice}?lang=en").text
    assert "The file of 李*" in page and "Open it" in page
