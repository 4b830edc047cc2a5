"""What a head-count page shows, made ready for the template and for the phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import url_for
from flask_wtf.csrf import generate_csrf

from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.queries import Board, ChildRow
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.request import current_actor, language

# what the phone says without asking the server
WORDS: Mapping[str, Text] = {
    "here": Text("到", "Here"),
    "missing": Text("未点到", "Not seen yet"),
    "all_sent": Text("全部已上传", "All marks are sent"),
    "unsent": Text("{n} 项还没有传上去", "{n} marks not sent yet"),
    "unsent_one": Text("1 项还没有传上去", "1 mark not sent yet"),
    "no_signal": Text(
        "没有信号，先存在这部手机上，有信号时自动上传",
        "No signal: kept on this phone, sent by itself later",
    ),
    "sign_in": Text(
        "登录已过期，标记还在这部手机上。请重新登录后回到本页",
        "You are signed out; the marks are still on this phone. Sign in and come back here",
    ),
    "not_kept": Text(
        "这个浏览器不能保存标记，没有信号时请用纸笔",
        "This browser cannot keep marks: use paper where there is no signal",
    ),
    "refused": Text(
        "{n} 项没有被接受：名单或场次已变化，请刷新核对",
        "{n} marks were not accepted: the list has changed; reload and check",
    ),
    "close_offline": Text(
        "没有信号，暂时不能完成清点。标记已存好，可以先点下一站",
        "No signal: the count cannot be finished yet. The marks are kept; go on to the next stage",
    ),
    "short": Text("还差 {n} 人", "{n} missing"),
    "complete": Text("人齐了", "Everybody is here"),
    "undone": Text("已撤销：{name}", "Undone: {name}"),
    "only_missing": Text("只看未到", "Missing only"),
    "show_all": Text("显示全部", "Show all"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A class at the stage that the page shows."""

    board: Board
    stage: str
    # may finish counts and say who left; a helper only marks
    may_close: bool

    @property
    def rows(self) -> list[ChildRow]:
        """Who is expected, those still missing first; in the order of the names within."""
        expected = [c for c in self.board.children if c.expected_at(self.stage)]
        return sorted(
            (c for c in expected if not c.explained_at(self.stage)),
            key=lambda c: c.here_at(self.stage),
        )

    @property
    def missing(self) -> list[ChildRow]:
        """Of whom nobody knows yet where they are."""
        return [c for c in self.rows if not c.here_at(self.stage)]

    @property
    def gone(self) -> list[ChildRow]:
        """Who left, at this stage or before."""
        return [c for c in self.board.children if c not in self.rows]

    @property
    def unsure(self) -> list[ChildRow]:
        """Who is here at the first stage and whose family has not agreed."""
        if self.stage != stages.LEAVE:
            return []
        return [c for c in self.rows if c.here_at(self.stage) and not c.agreed]

    @property
    def is_current(self) -> bool:
        """Whether this is the stage to be finished next."""
        return self.stage == self.board.current

    @property
    def closed(self) -> bool:
        """Whether it was finished."""
        return self.board.line(self.stage).closed_at is not None


def state_of(shown: Shown) -> dict[str, Any]:
    """What the phone needs to go on by itself: ids, marks and numbers, no name."""
    board = shown.board
    return {
        # of two states the phone goes by the newer
        "at": int(clock.now().timestamp() * 1000),
        "over": board.current is None,
        "current": board.current,
        "token": generate_csrf(),
        "stages": [
            {
                "code": line.stage,
                "closed": line.closed_at is not None,
                "expected": [
                    c.enrolment_id
                    for c in board.children
                    if c.expected_at(line.stage) and not c.explained_at(line.stage)
                ],
                "marks": {
                    str(c.enrolment_id): {
                        "here": mark.here,
                        "at": when.clock_time(mark.at),
                        "by": mark.by,
                    }
                    for c in board.children
                    if (mark := c.marks.get(line.stage)) is not None
                },
            }
            for line in board.stages
        ],
    }


def for_phone(shown: Shown) -> dict[str, Any]:
    """The page's own data for its script."""
    row = shown.board.row
    places: dict[str, Any] = {"session_id": row.session_id, "class_id": row.class_id}
    said = language()
    return {
        "person": current_actor().person_id,
        "session": row.session_id,
        "class": row.class_id,
        "stage": shown.stage,
        "marks_url": url_for("headcount.marks", **places),
        "state_url": url_for("headcount.state", **places),
        "worker_url": url_for("headcount.worker"),
        "words": {key: words.in_(said) for key, words in WORDS.items()},
        "names": {code: words.in_(said) for code, words in stages.STAGES.items()},
        "state": state_of(shown),
    }
