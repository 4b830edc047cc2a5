"""Makes the workbook that offices fill in: the columns `sheet.py` reads, examples and hints."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime

from coordination.domain.people.roster.sheet import COLUMNS
from coordination.ground.text import Text

_EXAMPLES: tuple[tuple[Sequence[str], Sequence[str]], ...] = (
    (
        ("光明实验小学", "", "三（2）班", "三年级", "20260001", "王小雨", "2017-09", "在读",
         "王敏", "母亲", "13800138001", "中文", "王建国", "父亲", "13800138002", "中文"),
        ("Guangming Experimental Primary School", "", "Class 3(2)", "3", "20260001", "Wang Xiaoyu",
         "2017-09", "active", "Wang Min", "mother", "13800138001", "Chinese", "Wang Jianguo",
         "father", "13800138002", "Chinese"),
    ),
    (
        ("光明实验小学", "", "三（2）班", "三年级", "20260002", "阿依古丽·买买提", "2017-11", "在读",
         "买买提·艾力", "父亲", "13800138003/13800138004", "英文", "", "", "", ""),
        ("Guangming Experimental Primary School", "", "Class 3(2)", "3", "20260002",
         "Ayguli Mamat", "2017-11", "active", "Mamat Eli", "father", "13800138003/13800138004",
         "English", "", "", "", ""),
    ),
)  # fmt: skip


def workbook(language: str, made_at: datetime) -> bytes:
    """The template as a workbook, with two example rows to write over."""
    at = 2 if language == "en" else 0
    keys = [k for k in COLUMNS.known if not k.endswith("3")]
    heads = {
        key: next(w for w in ways if w.isascii()) if at else ways[0]
        for key, ways in COLUMNS.known.items()
    }
    # few people ask for it: not loaded at every start
    import xlsxwriter

    target = io.BytesIO()
    # made of text only: nothing a cell says can become a formula
    with xlsxwriter.Workbook(
        target, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        book.set_properties({"created": made_at.replace(tzinfo=None)})
        sheet = book.add_worksheet("Roster" if at else "名册")
        head = book.add_format({"bold": True, "bg_color": "#DDEBEA", "border": 1})
        need = book.add_format({"bold": True, "bg_color": "#F6E3C5", "border": 1})
        text = book.add_format({"num_format": "@"})
        example = book.add_format({"num_format": "@", "font_color": "#777777"})
        sheet.set_column(0, len(keys) - 1, 15, text)
        sheet.freeze_panes(1, 0)
        for column, key in enumerate(keys):
            sheet.write_string(0, column, heads[key], need if key in COLUMNS.needed else head)
        for number, (zh, en) in enumerate(_EXAMPLES, 1):
            for column, cell in enumerate(en if at else zh):
                sheet.write_string(number, column, cell, example)
        hint = book.add_worksheet("How to" if at else "填写说明")
        hint.set_column(0, 0, 90)
        for number, sentence in enumerate(_HINTS):
            hint.write_string(number, 0, sentence.in_(language))
    return target.getvalue()


_HINTS = (
    Text("深色表头为必填。示例两行请删除或改写。",
         "Amber headers are needed. Delete the two example rows or write over them."),
    Text("学号在一所学校内不能重复；同一学号再次导入会更新该学生，不会重复添加。",
         "A student number is unique in its school; importing it again updates the child."),
    Text("一格可填两个手机号，用“/”隔开；第一个用于接收短信。",
         "A cell may hold two mobiles separated by “/”; the first receives the texts."),
    Text("没有出现在表中的学生不受影响；转出请在“状态”填“转出”。",
         "Children who are not in the sheet stay as they are; write “left” for those who left."),
    Text("新学校请填写“学校代码”；已有学校填名称即可。",
         "For a new school fill in its code; for a known one the name is enough."),
    Text("也可另存为 CSV（UTF-8 或 GBK）后上传。",
         "You may also save it as CSV (UTF-8 or GBK)."),
)  # fmt: skip
