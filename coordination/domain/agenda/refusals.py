"""Why a partner's calendar could not be read, in words for the partner.

The library says it in English for logs; here every sentence it has stands in both languages.
"""

from __future__ import annotations

import re

from coordination.ground.text import Text

_SENTENCES: tuple[tuple[str, Text], ...] = (
    # the address
    (r"not an address", Text("网址不正确。", "This is not an address.")),
    (r"not https", Text("只能用 https 开头的网址。", "Only https addresses are read.")),
    (
        r"a name or password in the address",
        Text("网址里不能带用户名或密码。", "The address may not hold a name or password."),
    ),
    (r"another port", Text("网址里不能指定端口。", "The address may not name a port.")),
    (
        r"not a public address",
        Text("这个网址不在公共互联网上。", "This address is not on the public internet."),
    ),
    (r"there is no such name", Text("找不到这个网站。", "There is no such site.")),
    (
        r"took too long",
        Text("网站 10 秒内没有答复。", "The site did not answer within 10 seconds."),
    ),
    (r"cannot be reached", Text("连不上这个网站。", "The site cannot be reached.")),
    (
        r"its certificate is not trusted|no secure line",
        Text("网站的安全证书有问题。", "The site's certificate is not trusted."),
    ),
    (r"too many redirects|a redirect to nowhere", Text("网址跳转有误。", "It redirects wrongly.")),
    (
        r"answered (40[134]|410)",
        Text(
            "网站拒绝了访问，网址可能已失效。",
            "The site refuses it; the address may no longer be valid.",
        ),
    ),
    (r"answered (\d+)", Text("网站出错（{0}）。", "The site failed ({0}).")),
    (r"broke off", Text("文件没有传完。", "The file broke off.")),
    # the file
    (r"larger than (\d+) bytes", Text("文件超过 2 MB。", "The file is larger than 2 MB.")),
    (
        r"line (\d+) is longer than \d+ bytes",
        Text("第 {0} 行太长。", "Line {0} is too long."),
    ),
    (
        r"more than (\d+) components",
        Text("日程超过 {0} 条。", "There are more than {0} entries."),
    ),
    (
        r"more than (\d+) busy times|too many instances",
        Text("忙碌时段太多。", "There are too many busy times."),
    ),
    (
        r"components nested deeper than \d+",
        Text("文件嵌套太深。", "The file is nested too deeply."),
    ),
    (
        r"the file stops before the component ends",
        Text("文件不完整。", "The file is not complete."),
    ),
    (r"line (\d+) ends what was not begun", Text("第 {0} 行格式有误。", "Line {0} is wrong.")),
    (r"not a calendar", Text("这不是日历文件。", "This is not a calendar file.")),
    (
        r"neither UTF-8 nor GB 18030",
        Text("文字编码无法识别。", "The encoding of the text is not known."),
    ),
    (
        r"takes too (long|much memory) to read",
        Text("文件过于复杂，无法读取。", "The file is too complex to read."),
    ),
    (r"no DTSTART", Text("没有开始时间。", "It has no start.")),
    (r"DTEND is before DTSTART", Text("结束早于开始。", "It ends before it starts.")),
    (
        r".*unknown time zone (.*)",
        Text("时区“{0}”无法识别。", "The time zone “{0}” is not known."),
    ),
    (r"RRULE: .*|EXRULE.*", Text("重复规则不受支持。", "Its repetition is not supported.")),
    (r"CALSCALE (.*) is not understood", Text("历法不受支持。", "Its calendar is not supported.")),
)
_REMEDY_ADDRESS = Text(
    "请在您的日历程序里重新复制“公开的 iCal 地址”，并在浏览器里打开试一试。",
    "Copy the public iCal address from your calendar program again and try it in a browser.",
)
_REMEDY_FILE = Text(
    "请在您的日历程序里改正这一条，再导出一次。",
    "Correct this entry in your calendar program and export it again.",
)
_REMEDIES: tuple[tuple[str, Text], ...] = (
    (
        r"took too long|cannot be reached|answered 5\d\d|broke off",
        Text(
            "我们会自动再试，您不必做什么；持续一天会短信告知。",
            "It is tried again by itself; if it lasts a day you get a text.",
        ),
    ),
    (
        r"larger than .*|more than .*|too many instances|takes too .*|line \d+ is longer .*"
        r"|components nested .*",
        Text(
            "请只导出今后一年的日程，不带附件和说明。",
            "Export the coming year only, without attachments and notes.",
        ),
    ),
    (
        r"not a calendar|neither UTF-8.*|the file stops .*|line \d+ ends .*|cannot be read.*",
        Text(
            "请从日历程序里另存为 .ics 文件，再上传。",
            "Save it from your calendar program as an .ics file and hand that in.",
        ),
    ),
    (
        r"RRULE: .*|EXRULE.*",
        Text(
            "请把它改成每天、每周、每月或每年重复，或改成单次日程。",
            "Let it repeat daily, weekly, monthly or yearly, or make single entries of it.",
        ),
    ),
    (
        r".*unknown time zone .*",
        Text(
            "请把它的时区改为“北京时间（Asia/Shanghai）”。",
            "Set its time zone to Beijing (Asia/Shanghai).",
        ),
    ),
)
_OTHER = Text("有一处无法识别。", "Something in it is not understood.")


def in_words(part: str | None, reason: str) -> Text:
    """The sentence for a reason, with the part of the file it was found in."""
    sentence = _OTHER
    for pattern, text in _SENTENCES:
        if found := re.fullmatch(pattern, reason, re.DOTALL):
            sentence = Text(text.zh.format(*found.groups("")), text.en.format(*found.groups("")))
            break
    name = _name_of(part)
    if not name:
        return sentence
    return Text(f"“{name}”：{sentence.zh}", f"“{name}”: {sentence.en}")


def remedy(part: str | None, reason: str) -> Text:
    """What the partner can do about it."""
    for pattern, text in _REMEDIES:
        if re.fullmatch(pattern, reason, re.DOTALL):
            return text
    return _REMEDY_ADDRESS if part is None else _REMEDY_FILE


def whole_sentence(part: str | None, reason: str) -> Text:
    """What is wrong and what to do about it."""
    wrong, then = in_words(part, reason), remedy(part, reason)
    return Text(f"{wrong.zh}{then.zh}", f"{wrong.en} {then.en}")


def _name_of(part: str | None) -> str:
    """The title of the entry: VEVENT and its like say nothing to a partner."""
    if part is None:
        return ""
    return re.sub(r"^(VEVENT|VFREEBUSY|VCALENDAR|VTIMEZONE|VALARM|file)\b\s*", "", part)[:80]
