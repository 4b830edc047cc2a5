"""One handler for every refusal: a bilingual page, or problem+json for machines.

Must not know any feature.
"""

from __future__ import annotations

import logging
import secrets

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException, SecurityError

from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.web.request import database, language

log = logging.getLogger(__name__)

_HTTP: dict[int, tuple[str, Text]] = {
    400: (
        "bad_request",
        Text(
            "请求内容有误，请返回后重试。",
            "The request could not be understood; go back and try again.",
        ),
    ),
    403: (
        "forbidden",
        Text("您没有权限查看此页。", "You are not allowed to see this page."),
    ),
    404: (
        "not_found",
        Text(
            "没有找到这个页面。请检查网址，或从首页重新进入。",
            "There is no such page. Check the address, or start again from the home page.",
        ),
    ),
    405: (
        "method_not_allowed",
        Text(
            "这个地址不能这样打开，请返回上一页操作。",
            "This address cannot be opened like that; go back a page.",
        ),
    ),
    413: (
        "too_large",
        Text(
            "内容太大。普通表单不超过 1 MB，上传的文件不超过 10 MB，一人一份的材料合计不超过 20 MB。",
            "This is too large. Forms may have 1 MB, uploaded files 10 MB, a file for each child 20 MB in all.",
        ),
    ),
    415: (
        "unsupported",
        Text("不支持这种内容格式。", "This kind of content is not supported."),
    ),
    429: (
        "too_many",
        Text("操作太频繁，请稍后再试。", "Too many attempts; please try again later."),
    ),
}
_TITLES: dict[int, Text] = {
    400: Text("无法处理这次请求", "We could not handle that"),
    403: Text("没有权限", "Not allowed"),
    404: Text("没有找到", "Not found"),
    405: Text("打开方式不对", "Cannot be opened like that"),
    409: Text("内容已变化", "Something has changed"),
    410: Text("已过期", "Too late"),
    413: Text("内容太大", "Too large"),
    422: Text("请检查填写的内容", "Please check what you entered"),
    429: Text("请稍后再试", "Please wait a little"),
    500: Text("系统出错了", "Something went wrong"),
}


def wants_json() -> bool:
    """Whether the caller is a machine."""
    if request.path.startswith(("/api/", "/webhooks/")):
        return True
    accepts = request.accept_mimetypes
    return accepts["application/json"] > accepts["text/html"]


def _answer(status: int, code: str, message: Text, fields: dict[str, Text]) -> ResponseReturnValue:
    if wants_json():
        said = language()
        body = jsonify(
            type="about:blank",
            status=status,
            code=code,
            title=_TITLES.get(status, _TITLES[400]).in_(said),
            detail=message.in_(said),
            fields={name: words.in_(said) for name, words in fields.items()},
        )
        body.mimetype = "application/problem+json"
        body.status_code = status
        return body
    title = _TITLES.get(status, _TITLES[400])
    page = render_template(
        "errors/problem.html",
        status=status,
        title=title,
        message=message,
        fields=fields,
    )
    return page, status


def _refused(error: CoordinationError) -> ResponseReturnValue:
    database().rollback()
    return _answer(error.status, error.code, error.message, dict(error.fields))


def _foreign_host(_error: SecurityError) -> ResponseReturnValue:
    """Before routing: no page can be built for a host that is not ours."""
    return Response(
        "网址不正确。 This is not our address.\n", 400, content_type="text/plain; charset=utf-8"
    )


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    return _answer(
        403,
        "session_expired",
        Text(
            "页面停留过久或登录已更换，请返回上一页、刷新后再提交。",
            "The page was open too long or the sign-in changed; go back, reload and submit again.",
        ),
        {},
    )


def _http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400 and error.response is not None:
        return error.get_response()
    if status >= 500:
        return _broken(error)
    code, message = _HTTP.get(status, _HTTP[400])
    answer = _answer(status, code, message, {})
    if status == 405 and isinstance(answer, Response):
        answer.headers["Allow"] = error.get_response().headers.get("Allow", "GET")
    return answer


def _not_data(_error: DataError) -> ResponseReturnValue:
    """A number beyond the column or a NUL byte in an address: nothing that exists."""
    database().rollback()
    code, message = _HTTP[404]
    return _answer(404, code, message, {})


def _broken(error: Exception) -> ResponseReturnValue:
    reference = secrets.token_hex(4)
    log.exception("unexpected error, reference %s", reference, exc_info=error)
    database().rollback()
    return _answer(
        500,
        "internal",
        Text(
            f"这是我们的问题，不是您的操作有误。请稍后再试；如需帮助，请报编号 {reference}。",
            f"This is our fault, not yours. Try again later; if you need help, quote {reference}.",
        ),
        {},
    )


def install(app: Flask) -> None:
    """Render every refusal in the viewer's language."""
    app.register_error_handler(CoordinationError, _refused)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(SecurityError, _foreign_host)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DataError, _not_data)
    if not app.testing:
        app.register_error_handler(Exception, _broken)
