"""How the states and reasons of a delivery are called on screens. Must not know any feature."""

from __future__ import annotations

from coordination.ground.text import Text

# state -> (word, tone of its badge)
STATES: dict[str, tuple[Text, str]] = {
    "queued": (Text("排队中", "Queued"), ""),
    "held": (Text("等待发出", "Held"), ""),
    "sending": (Text("发送中", "Sending"), "info"),
    "accepted": (Text("已发出", "Sent"), "info"),
    "delivered": (Text("已送达", "Delivered"), "ok"),
    "undelivered": (Text("未送达", "Not delivered"), "bad"),
    "failed": (Text("发送失败", "Failed"), "bad"),
    "suppressed": (Text("未发送", "Not sent"), "bad"),
    "expired": (Text("过期未发", "Expired"), "bad"),
    "cancelled": (Text("已撤回", "Withdrawn"), ""),
    "merged": (Text("已合并", "Merged"), "info"),
    "unknown": (Text("核实中", "Being checked"), "need"),
    "needs_human": (Text("请电话联系", "Please call"), "need"),
    "intent": (Text("开始发送", "Being sent"), "info"),
    "refused": (Text("通道拒收", "Refused by the carrier"), "bad"),
    "not_taken": (Text("通道没有收到，将重试", "Not taken; it is tried again"), ""),
    "skipped": (Text("无法发送", "Cannot be sent"), "bad"),
    "on_page": (Text("仅平台，未发短信", "Platform only, no text"), ""),
}

# the same states of a call
CALL_STATES: dict[str, tuple[Text, str]] = {
    "queued": (Text("等待拨打", "To be called"), ""),
    "sending": (Text("正在拨打", "Being called"), "info"),
    "intent": (Text("开始拨打", "Being called"), "info"),
    "accepted": (Text("正在响铃或通话", "Ringing, or on the phone"), "info"),
    "delivered": (Text("已接听", "Answered"), "ok"),
    "undelivered": (Text("没有接听", "Not answered"), "bad"),
    "failed": (Text("没有打通", "Could not be called"), "bad"),
    "suppressed": (Text("没有拨打", "Not called"), ""),
    "expired": (Text("过时未打", "Too late to call"), "bad"),
    "not_taken": (Text("服务商没有收到，将重打", "Not taken; it is tried again"), ""),
}

_TAKEN_OR_NOT = Text(
    "连接中断，是否发出待核实", "the connection broke; whether it left is being checked"
)

_REASONS: dict[str, Text] = {
    "no_phone": Text("没有登记手机号", "no phone is known"),
    "no_address": Text("没有登记手机号", "no phone is known"),
    "opted_out": Text("已退订短信", "has opted out of texts"),
    "landline": Text("座机，收不到短信", "a landline takes no texts"),
    "bad_number": Text("号码打不通，已停发", "texts to this number fail and are stopped"),
    "no_longer_concerned": Text("与该学生的关系已变更", "no longer concerned with the child"),
    "left": Text("已离开本区", "has left the district"),
    "quiet_hours": Text("免打扰时段，稍后发出", "waits for the end of quiet hours"),
    "evening": Text("傍晚合并发送，到点一起发出", "waits for the one text of the evening"),
    "own_hour": Text("家长选择了这时以后再收", "waits for the hour that its reader has chosen"),
    "daily_cap": Text(
        "该手机今天的短信已达上限，明早发出",
        "the phone has had its texts of the day; leaves in the morning",
    ),
    "merged": Text("与其他通知合并为一条短信", "said together with other notices in one text"),
    "parted": Text(
        "其中一条通知已撤回，其余另行发出", "one of its notices was withdrawn, the others go alone"
    ),
    "budget_used_up": Text("本月短信预算不够", "the month's budget for texts had no room for it"),
    "read_on_page": Text("已在平台阅读，未发短信", "read on the platform, so no text was sent"),
    "confirmed_on_page": Text(
        "已在平台确认，未发短信", "confirmed on the platform, so no text was sent"
    ),
    "told_otherwise": Text("老师已告知，未发短信", "told by the teacher, so no text was sent"),
    "answered_before_text": Text(
        "发短信前这家已有回应，未发短信", "the family had answered before the texts left"
    ),
    "stopped_on_page": Text(
        "发短信前已停止，仅在平台发布", "stopped before its texts left; it stands on the platform"
    ),
    "text_if_unread": Text("仅在平台发布，还没有发短信", "on the platform only, not texted yet"),
    "text_if_unconfirmed": Text(
        "仅在平台发布，还没有发短信", "on the platform only, not texted yet"
    ),
    "sender_left": Text(
        "发送人到时已不再负责这些班级", "its sender no longer had these classes when the time came"
    ),
    "text_arrived": Text("短信已经送达，不再发邮件", "the text has arrived after all"),
    "withdrawn": Text("已撤回", "withdrawn by the sender"),
    "expired": Text("超过有效时间", "no longer useful when its turn came"),
    "restored": Text(
        "系统从备份恢复，可能已经发过，没有再发",
        "the system was restored from a backup; it may have been sent, so it was not sent again",
    ),
    "too_late": Text("超过有效时间", "no longer useful when its turn came"),
    "provider_halted": Text("等待短信服务商恢复", "waits for the provider of texts"),
    "body_erased": Text("正文已按期限删除", "its text was erased after the time it is kept"),
    "suppressed": Text("号码多次失败，已停发", "the number failed three times and is stopped"),
    "not_connected": Text("连不上短信服务商", "the provider could not be reached"),
    "connect_timeout": Text("连不上短信服务商", "the provider could not be reached"),
    "tls_handshake": Text("连不上短信服务商", "the provider could not be reached"),
    "channel_halted": Text(
        "短信服务商停用中，没有发出", "not sent: its provider had just been halted"
    ),
    "not_domestic": Text("这个服务商不发境外号码", "this provider reaches no numbers abroad"),
    "no_template": Text("短信模板还没有通过审核", "its template is not approved yet"),
    "no_values": Text("短信模板缺少一个变量的值", "a value for its template is missing"),
    "bad_header": Text("地址或标题里有换行", "its address or subject has a line break"),
    "credentials": Text(
        "邮件服务器拒绝了账号或密码", "the mail server refuses our account or its password"
    ),
    "worker_stopped": Text("发送进程停止前没有发出", "not sent before its process stopped"),
    "stale_claim": Text(
        "轮到时已等得太久，重新排队", "its claim had grown old; it is queued again"
    ),
    "sender_died": Text(
        "发送进程中断，是否发出待核实", "its process broke off; whether it left is being checked"
    ),
    "no_sid": _TAKEN_OR_NOT,
    "no_code": _TAKEN_OR_NOT,
    "no_biz_id": _TAKEN_OR_NOT,
    "not_found_at_provider": Text(
        "服务商那里查不到，重新发送", "its provider does not know it; it is sent again"
    ),
    "doubt_again_and_again": Text(
        "多次无法确认是否发出", "whether it left could not be settled, several times"
    ),
    "provider_cannot_be_asked": Text(
        "无法向服务商核实", "its provider cannot be asked whether it left"
    ),
    "smtp_cannot_be_asked": Text(
        "邮件服务器无法核实", "a mail server cannot be asked whether it left"
    ),
    "address_changed": Text("号码已变更，无法核实", "the number has changed; it cannot be checked"),
    "no_channel": Text("当时的服务商已停用，无法核实", "its provider is no longer set up"),
    "30001": Text("服务商排队过多", "too many texts wait at the provider"),
    "30002": Text("账户已停用", "the account is suspended at the provider"),
    "30003": Text("手机关机或无法接通", "the phone is off or unreachable"),
    "30004": Text("被运营商拦截", "blocked by the carrier"),
    "30005": Text("号码不存在", "the number does not exist"),
    "30006": Text("不是手机号", "not a mobile number"),
    "30007": Text("被运营商拦截", "blocked by the carrier"),
    "30008": Text("运营商没有说明原因", "the carrier gives no reason"),
    "INVALID_NUMBER": Text(
        "号码有误、停机、空号或关机", "the number is wrong, out of service, or the phone is off"
    ),
    "MOBILE_NOT_ON_SERVICE": Text(
        "停机、空号、关机或不在服务区",
        "the number is out of service or does not exist, or the phone is off",
    ),
    "MOBILE_IN_BLACK": Text(
        "被运营商列入黑名单，可能曾退订", "the carrier blocks it; its holder may have opted out"
    ),
    "USER_REJECT": Text("已向运营商退订短信", "has opted out of texts at the carrier"),
    "MOBILE_SEND_LIMIT": Text(
        "该号码短信过多，被运营商限制", "the carrier lets no more texts to this number"
    ),
    "MOBILE_ACCOUNT_ABNORMAL": Text(
        "号码欠费或刚携号转网", "the number's account is in arrears, or it changed its carrier"
    ),
    "MOBLLE_TERMINAL_ERROR": Text(
        "手机存储已满或无法接收", "the phone is full or cannot take texts"
    ),
    "CONTENT_KEYWORD": Text("内容被运营商拦截", "its words are blocked by the carrier"),
    "SP_UNKNOWN_ERROR": Text("运营商没有说明原因", "the carrier gives no reason"),
    "NO_ROUTE": Text("没有可用的通道", "the provider has no route for it"),
    "20429": Text("服务商要求放慢，将重试", "the provider asks for a slower pace"),
    "21408": Text("账户不能发往这个国家或地区", "the account may not send to this country"),
    "answered_before_call": Text(
        "打电话前家里已经有人知道", "somebody in the family knew before the phone rang"
    ),
    "busy": Text("占线", "the line was busy"),
    "no-answer": Text("无人接听", "nobody took the call"),
    "canceled": Text("电话被取消", "the call was cancelled"),
    "call_failed": Text("无法接通，号码可能有误", "no connection; the number may be wrong"),
    "too_long": Text("要说的话太长", "there is too much to say"),
    "10004": Text("同时拨打过多，将重试", "too many calls at once; it is tried again"),
    "21210": Text("主叫号码未验证", "the calling number is not verified"),
    "21212": Text("主叫号码无效", "the calling number is not valid"),
    "21213": Text("缺少主叫号码", "there is no calling number"),
    "21214": Text("打不到这个号码", "this number cannot be reached by phone"),
    "21215": Text("账户不能拨打这个国家或地区", "the account may not call this country"),
    "21216": Text("账户不能拨打这个号码", "the account may not call this number"),
    "21217": Text("号码无效", "the number is not valid"),
    "21219": Text("试用账户不能拨打未验证的号码", "a trial account calls verified numbers only"),
    "21211": Text("号码无效", "the number is not valid"),
    "21614": Text("不是手机号", "not a mobile number"),
    "21610": Text("已退订短信", "has opted out of texts"),
}


# why several wait, as the name of a line
_HELD_FOR: dict[str, Text] = {
    "quiet_hours": Text("免打扰时段", "Quiet hours"),
    "evening": Text("傍晚合并发送", "Gathered in the evening"),
    "own_hour": Text("家长选的时间", "The reader's own hour"),
    "daily_cap": Text("每日上限", "Daily limit"),
}


def held_word(code: str | None) -> Text:
    """A reason to wait, as the name of a line."""
    return _HELD_FOR.get(code or "", STATES["held"][0])


def state_word(state: str, *, call: bool = False) -> Text:
    """A state in words; of a text or mail, or of a call."""
    return _state(state, call=call)[0]


def state_tone(state: str, *, call: bool = False) -> str:
    """The tone of a state's badge."""
    return _state(state, call=call)[1]


def _state(state: str, *, call: bool) -> tuple[Text, str]:
    of_all = STATES.get(state, (Text(state, state), ""))
    return CALL_STATES.get(state, of_all) if call else of_all


def reason_word(code: str | None) -> Text | None:
    """A reason in words; a provider's code that nobody has explained is shown with its number."""
    if not code:
        return None
    known = _REASONS.get(code) or _HALTS.get(code)
    if known is None and code.startswith("http_"):
        number = code.removeprefix("http_")
        return Text(f"服务商答复错误 {number}", f"its provider answered with error {number}")
    if known is None and code.endswith("Error"):
        return _TAKEN_OR_NOT  # the name of what broke the connection: channels give it for doubt
    return known or Text(f"原因代码 {code}", f"code {code}")


_CHANNELS = {
    "sms": Text("短信", "Texts"),
    "email": Text("邮件", "Mail"),
    "voice": Text("自动电话", "Calls"),
    "twilio_voice": Text("Twilio 语音", "Twilio Voice"),
    "twilio_sms": Text("Twilio 短信", "Twilio"),
    "aliyun_sms": Text("阿里云短信", "Aliyun"),
    "smtp_email": Text("邮件服务器", "Mail server"),
    "console": Text("手机模拟器", "Phone simulator"),
}
_HALTS = {
    "provider_failing": Text("服务商接连出错", "the provider keeps failing"),
    "twilio_20003": Text(
        "服务商拒绝了账号或密钥", "the provider refuses our account or its secret"
    ),
    "twilio_401": Text("服务商拒绝了账号或密钥", "the provider refuses our account or its secret"),
    "twilio_403": Text("服务商不允许这个账号发送", "the provider forbids this account to send"),
    "twilio_21210": Text("主叫号码未验证", "the calling number is not verified"),
    "twilio_21212": Text("主叫号码无效", "the calling number is not valid"),
    "twilio_21213": Text("缺少主叫号码", "there is no calling number"),
    "aliyun_SignatureDoesNotMatch": Text(
        "服务商拒绝了账号或密钥", "the provider refuses our account or its secret"
    ),
    "aliyun_InvalidAccessKeyId.NotFound": Text(
        "服务商拒绝了账号或密钥", "the provider refuses our account or its secret"
    ),
    "aliyun_InvalidAccessKeyId.Inactive": Text(
        "服务商拒绝了账号或密钥", "the provider refuses our account or its secret"
    ),
    "aliyun_isp.RAM_PERMISSION_DENY": Text(
        "服务商不允许这个账号发送", "the provider forbids this account to send"
    ),
    "aliyun_isv.AMOUNT_NOT_ENOUGH": Text(
        "账户余额不足", "the account has no money left at the provider"
    ),
    "aliyun_isv.OUT_OF_SERVICE": Text("账户已停机", "the provider has stopped the account"),
    "aliyun_isv.SMS_SIGNATURE_ILLEGAL": Text(
        "短信签名未通过审核", "the signature of the texts is not approved"
    ),
    "aliyun_isv.DAY_LIMIT_CONTROL": Text(
        "账户达到当天发送上限", "the account has reached its limit for the day"
    ),
    "aliyun_isv.MONTH_LIMIT_CONTROL": Text(
        "账户达到当月发送上限", "the account has reached its limit for the month"
    ),
}


def channel_word(channel: str) -> Text:
    """A channel in words."""
    return _CHANNELS.get(channel, Text(channel, channel))


def halt_word(reason: str) -> Text:
    """Why a channel is halted, in words; a reason that nobody has explained is shown as it is."""
    return _HALTS.get(reason, Text(reason, reason))
