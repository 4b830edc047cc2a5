"""The family of refusals. Rules raise them, one handler in `web/errors.py` renders them.

Each carries a code for machines, an HTTP status and a sentence in both languages.
"""

from __future__ import annotations

from collections.abc import Mapping

from coordination.ground.text import Text


class CoordinationError(Exception):
    """A refusal with its reason; `fields` maps form field names to what is wrong with each."""

    status = 400
    code = "refused"
    default = Text("操作未完成。", "The action was not completed.")

    def __init__(
        self,
        message: Text | None = None,
        *,
        code: str | None = None,
        fields: Mapping[str, Text] | None = None,
    ) -> None:
        self.message = message or self.default
        self.code = code or type(self).code
        self.fields: Mapping[str, Text] = fields or {}
        super().__init__(f"{self.code}: {self.message.en}")


class NotFound(CoordinationError):
    """Not there, or not for this actor: the two are indistinguishable on purpose."""

    status, code = 404, "not_found"
    default = Text(
        "没有找到该内容，可能已被移除。",
        "We could not find this; it may have been removed.",
    )


class Forbidden(CoordinationError):
    """The actor is known and may not."""

    status, code = 403, "forbidden"
    default = Text("您没有权限进行此操作。", "You are not allowed to do this.")


class Invalid(CoordinationError):
    """The input is refused; `fields` says where and why."""

    status, code = 422, "invalid"
    default = Text("请检查填写的内容。", "Please check what you entered.")


class Conflict(CoordinationError):
    """The state of the world forbids it."""

    status, code = 409, "conflict"
    default = Text("内容已发生变化，请刷新后重试。", "Something has changed; reload and try again.")


class SlotTaken(Conflict):
    """The time is blocked by another booking (PostgreSQL exclusion constraint)."""

    code = "slot_taken"
    default = Text(
        "该时段已被预约，请选择其他时间。",
        "This time has been taken; please choose another.",
    )


class Full(Conflict):
    """No place is left."""

    code = "full"
    default = Text("名额已满。", "There are no places left.")


class Stale(Conflict):
    """Somebody else changed it meanwhile."""

    code = "stale"


class TooLate(CoordinationError):
    """The deadline has passed or the code has expired."""

    status, code = 410, "too_late"
    default = Text("已过截止时间。", "The deadline has passed.")


class TooMany(CoordinationError):
    """Throttled."""

    status, code = 429, "too_many"
    default = Text("尝试次数过多，请稍后再试。", "Too many attempts; please try again later.")
