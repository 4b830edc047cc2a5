"""How people add a feed to the calendar they have: steps, and what the screen shows at each.

Only what was known to hold for several versions of a client; where phones differ it says so.
Must not know any address.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do, and the lines of the screen, the one to press marked."""

    do: Text
    screen: tuple[Text, ...] = ()
    press: int = 0


@dataclass(frozen=True, slots=True)
class Guide:
    """The steps of one client; `note` is what else to know."""

    key: str
    name: Text
    follows: bool
    steps: tuple[Step, ...]
    note: Text


_COPY = Step(
    Text("在本页复制订阅地址。", "Copy the address on this page."),
    (Text("订阅地址 https://…", "Address https://…"), Text("复制", "Copy")),
    1,
)

_FILE = (
    Step(
        Text(
            "点“只下载一次”，用系统浏览器下载日历文件。",
            "Press “Download once” in the phone's own browser.",
        ),
        (Text("只下载一次", "Download once"),),
    ),
    Step(
        Text(
            "打开下载的 calendar.ics，选择用“日历”打开。",
            "Open calendar.ics and choose Calendar to open it with.",
        ),
        (Text("calendar.ics", "calendar.ics"), Text("日历", "Calendar")),
        1,
    ),
    Step(Text("点“导入”或“全部添加”。", "Press Import, or Add all."), (Text("导入", "Import"),)),
)

GUIDES = (
    Guide(
        "apple",
        Text("苹果手机、平板、电脑", "iPhone, iPad, Mac"),
        True,
        (
            Step(
                Text(
                    "用 Safari 打开本页，点“苹果手机或电脑”。",
                    "Open this page in Safari and press “iPhone, iPad or Mac”.",
                ),
                (Text("苹果手机或电脑", "iPhone, iPad or Mac"),),
            ),
            Step(
                Text("出现“订阅日历”时点“订阅”。", "When asked to subscribe, press Subscribe."),
                (Text("取消", "Cancel"), Text("订阅", "Subscribe")),
                1,
            ),
            Step(
                Text(
                    "如要日历自带的提醒，关闭“移除提醒”。",
                    "To keep alarms, turn off “Remove alarms”.",
                ),
                (Text("移除提醒", "Remove alarms"),),
            ),
        ),
        Text(
            "没有反应时：设置 › App › 日历 › 日历账户 › 添加账户 › 其他 › 添加已订阅的日历，粘贴地址。"
            "更新频率：设置 › App › 日历 › 日历账户 › 获取新数据。",
            "If nothing happens: Settings › Apps › Calendar › Calendar Accounts › Add Account › Other "
            "› Add Subscribed Calendar, and paste the address. How often it looks is set under "
            "Fetch New Data.",
        ),
    ),
    Guide(
        "google",
        Text("Google 日历（安卓手机也用它）", "Google Calendar (also for Android)"),
        True,
        (
            _COPY,
            Step(
                Text(
                    "在电脑上打开 calendar.google.com：“其他日历”旁的“＋” › “通过网址添加”。",
                    "On a computer open calendar.google.com: “+” beside “Other calendars” › “From URL”.",
                ),
                (
                    Text("其他日历　＋", "Other calendars  +"),
                    Text("通过网址添加", "From URL"),
                ),
                1,
            ),
            Step(
                Text("粘贴地址，点“添加日历”。", "Paste the address and press “Add calendar”."),
                (Text("日历网址", "URL of calendar"), Text("添加日历", "Add calendar")),
                1,
            ),
            Step(
                Text(
                    "手机上的 Google 日历：设置里选这个日历，打开“同步”。",
                    "In the phone's app: Settings, choose this calendar, turn on Sync.",
                ),
                (Text("同步", "Sync"),),
            ),
        ),
        Text(
            "Google 大约每 12 到 24 小时才看一次，不能调快。临时变动请以短信为准。",
            "Google looks only every 12 to 24 hours and cannot be hurried. Late changes come by SMS.",
        ),
    ),
    Guide(
        "outlook",
        Text("Outlook", "Outlook"),
        True,
        (
            Step(
                Text(
                    "点本页的 Outlook 按钮并登录；或在 outlook.com 打开日历 › “添加日历”。",
                    "Press an Outlook button here and sign in; or open outlook.com › Calendar › "
                    "“Add calendar”.",
                ),
                (Text("添加日历", "Add calendar"),),
            ),
            Step(
                Text(
                    "选“从 Web 订阅”，粘贴地址，点“导入”。",
                    "Choose “Subscribe from web”, paste the address, press Import.",
                ),
                (
                    Text("从 Web 订阅", "Subscribe from web"),
                    Text("从文件上传", "Upload from file"),
                ),
            ),
        ),
        Text(
            "Outlook 手机应用会随账号自动显示。更新约需 3 到 24 小时。",
            "The Outlook app shows it by itself. Updates take 3 to 24 hours.",
        ),
    ),
    Guide(
        "xiaomi",
        Text("小米、Redmi 手机", "Xiaomi and Redmi"),
        False,
        _FILE,
        Text(
            "部分机型的日历“设置 › 日程导入”里可以填网址，可先试试粘贴地址；没有这一项时请用下载。"
            "下载的日历不会自动更新。",
            "On some models Calendar › Settings › Import takes an address; try pasting it first. "
            "Where it is missing, download. A downloaded calendar does not follow changes.",
        ),
    ),
    Guide(
        "huawei",
        Text("华为、荣耀手机", "Huawei and Honor"),
        False,
        _FILE,
        Text(
            "自带日历一般只能导入，不会自动更新。要自动更新，可安装 Outlook 并按上面的步骤订阅。",
            "The built-in calendar usually only imports and does not follow changes. To have them "
            "follow, install Outlook and subscribe as above.",
        ),
    ),
    Guide(
        "wecom",
        Text("企业微信、微信里打开", "Inside WeCom or WeChat"),
        False,
        (
            Step(
                Text(
                    "点右上角“···”，选“在浏览器打开”。",
                    "Press “···” at the top right and choose “Open in browser”.",
                ),
                (Text("···", "···"), Text("在浏览器打开", "Open in browser")),
                1,
            ),
            Step(
                Text("再按您手机的步骤添加。", "Then follow the steps of your phone."),
            ),
        ),
        Text(
            "企业微信的日历不能按网址订阅，请加到手机自带的日历里。",
            "WeCom's own calendar cannot subscribe to an address; use the phone's calendar.",
        ),
    ),
    Guide(
        "other",
        Text("其他日历软件", "Other programs"),
        True,
        (
            _COPY,
            Step(
                Text(
                    "在软件里找“订阅日历”“网络日历”或“通过网址添加”，粘贴地址。",
                    "Look for “Subscribe”, “Network calendar” or “From URL” and paste the address.",
                ),
                (Text("订阅网络日历", "Subscribe to a network calendar"),),
            ),
        ),
        Text(
            "安卓手机可用 ICSx⁵ 让自带日历也能订阅。",
            "On Android, ICSx⁵ lets the built-in calendar subscribe.",
        ),
    ),
)
