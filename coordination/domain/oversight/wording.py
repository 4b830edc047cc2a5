"""What the tables of the audit trail are called on screens. Knows nothing else of them."""

from __future__ import annotations

from coordination.ground.text import Text

_ZH = {
    "access_code": "短码",
    "account": "账号",
    "account_session": "登录会话",
    "activity": "活动",
    "attendance": "考勤",
    "booking": "预约",
    "booking_occurrence": "预约时段",
    "calendar_day": "校历日",
    "card_consent": "健康信息同意",
    "card_look": "查阅记录",
    "child_file": "一人一份材料",
    "class_enrolment": "班级报名",
    "class_group": "班级",
    "class_member": "班级成员",
    "consent_answer": "同意记录",
    "consent_ask": "征询",
    "consent_request": "知情同意书",
    "contact_point": "联系方式",
    "data_request": "个人信息申请",
    "delivery_circuit": "发送通道",
    "enrolment": "报名",
    "family_budget": "家庭每周短信",
    "feed_token": "日历订阅",
    "follow_up": "联系跟进",
    "guardianship": "监护关系",
    "health_card": "健康提示卡",
    "membership": "任职",
    "notice": "通知",
    "notice_recipient": "收件人",
    "one_time_code": "登录验证码",
    "opening_rule": "开放规则",
    "organisation": "机构",
    "outbox_hold": "恢复后暂停",
    "partner_document": "资质文件",
    "partner_profile": "资源单位档案",
    "person": "人员",
    "pickup_permit": "代接授权",
    "practice_session": "场次",
    "procrastinate_jobs": "后台任务",
    "reminder_rule": "提醒规则",
    "reminder_set": "提醒规则组",
    "resource": "资源",
    "roster_batch": "导入批次",
    "second_look_policy": "双人复核",
    "shift_assignment": "志愿者排班",
    "shift_need": "志愿班次",
    "term": "学期",
    "text": "短信",
    "text_budget": "短信预算",
    "text_limit": "短信限额",
    "wording_approval": "短信模板报备",
}


def table_word(name: str) -> Text:
    """The name of a table for people; one that has none yet keeps its own."""
    plain = name.replace("_", " ")
    return Text(_ZH.get(name, plain), plain)


# what a message is about, where that is not the name of a table
_SUBJECTS = {
    "notice_call": "notice",
    "session": "practice_session",
    "consent": "consent_request",
    "shift": "shift_need",
    "together": "notice",
}
_NO_TABLES = {
    "sign_in": Text("登录验证码", "sign-in code"),
    "notice_look": Text("通知复核", "second look at a notice"),
    "notice_test": Text("通知试发", "test of a notice"),
}


def subject_word(subject_type: str) -> Text:
    """What a message is about, for people."""
    return _NO_TABLES.get(subject_type) or table_word(_SUBJECTS.get(subject_type, subject_type))


# what the clock does, under the names of its ticks
_TICKS = {
    "heartbeat": Text("时钟心跳", "Heartbeat of the clock"),
    "send scheduled notices": Text("发出定时通知", "Send scheduled notices"),
    "follow silence": Text("催回应、列电话名单", "Follow up what is not answered"),
    "ring the silent": Text(
        "紧急通知没人确认时打电话", "Call families that have not confirmed an alert"
    ),
    "write notices": Text("写出大范围通知", "Write notices to many"),
    "dispatch due messages": Text("派发到期消息", "Dispatch due messages"),
    "send due reminders": Text("生成到期提醒", "Write due reminders"),
    "expire holds": Text("释放过期保留", "Release expired holds"),
    "mail missing receipts": Text("补发邮件", "Mail what has no receipt"),
    "mark stopped numbers": Text("标记停发的号码", "Mark stopped numbers"),
    "give back unsent texts": Text("退回没发出的短信费用", "Give back what was not sent"),
    "erase children's files": Text("清除孩子的材料", "Erase children's files"),
    "erase health cards": Text("清除健康提示卡", "Erase health cards"),
    "erase head-counts": Text("清除点名明细", "Erase details of head-counts"),
    "erase old texts": Text("清除旧消息正文", "Erase old texts"),
    "forget expired sign-ins": Text("清除过期登录", "Forget expired sign-ins"),
    "keep to the terms": Text("按期限删除个人信息", "Keep to the terms of data"),
    "tidy calendars": Text("整理日历", "Tidy calendars"),
    "read partners' calendars": Text("读取伙伴单位日历", "Read partners' calendars"),
}
_JOBS = {
    "notifications.deliver_batch": Text("发送消息", "Deliver messages"),
    "notifications.retry_stalled": Text("接管停滞任务", "Take over stalled jobs"),
}


def tick_word(name: str) -> Text:
    """What a tick does; one that has no words yet keeps its name."""
    return _TICKS.get(name, Text(name, name))


def job_word(task: str) -> Text:
    """What a job does."""
    return _JOBS.get(task, Text(task, task))
