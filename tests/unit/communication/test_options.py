"""What families choose from: written one a line, twice, in one order."""

from __future__ import annotations

import pytest

from coordination.domain.communication.notices.choices import options_of
from coordination.ground.errors import Invalid
from coordination.ground.text import Text


def test_lines_become_pairs_and_blank_ones_are_nothing() -> None:
    found = options_of("参加\n\n 不参加 \n", "Comes\r\nStays at home")
    assert found == [Text("参加", "Comes"), Text("不参加", "Stays at home")]


@pytest.mark.parametrize(
    ("zh", "en", "field", "says"),
    [
        ("", "Comes\nNot", "options_zh", "there are 0"),
        ("参加", "Comes", "options_zh", "there are 1"),
        ("一\n二\n三\n四\n五\n六\n七", "a\nb", "options_zh", "there are 7"),
        ("参加\n不参加\n再说", "Comes\nNot", "options_en", "3 options in Chinese and 2"),
        ("参加\n参加", "Comes\nNot", "options_zh", "the same"),
        ("参加\n" + "不" * 21, "Comes\nNot", "options_zh", "at most 20"),
        ("参加\n不参加", "Comes\n" + "n" * 41, "options_en", "at most 40"),
        ("参加\n微信转账", "Comes\nNot", "options_zh", "转账"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(zh: str, en: str, field: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        options_of(zh, en)
    assert says in refused.value.fields[field].en
