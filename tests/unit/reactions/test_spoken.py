"""What a voice says can be said, is understood by ear, and gives nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordination.domain.communication.notices import alerts
from coordination.ground.text import Language, Text
from coordination.reactions import lint, spoken
from notifications.channels.twilio_voice import LONGEST_DOCUMENT, asking


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("zh", "今天推迟到16:30放学（暴雨），请接孩子", "今天推迟到16点30分放学，暴雨，请接孩子"),
        ("zh", "9:00到校", "9点整到校"),
        ("zh", "校车推迟到07:05", "校车推迟到7点零5分"),
        ("zh", "14:00–15:30开会", "14点整到15点30分开会"),
        ("zh", "请打 13800138000", "请打 1 3 8 0 0 1 3 8 0 0 0"),
        ("zh", "三（2）班停课。（请看群）", "三2班停课。请看群"),
        ("zh", "详见 https://x.example.cn/a?b=1 ，谢谢", "详见，谢谢"),
        ("zh", "打开 jxs.example.cn 输入 7K3QX-9MD2F", "打开 输入"),
        ("zh", "水温37℃ & 别带*药#", "水温37度 和 别带 药"),
        ("zh", "【紧急】停课", "紧急，停课"),
        (
            "en",
            "School ends late, at 16:30 (heavy rain): come",
            "School ends late, at 4:30 pm, heavy rain: come",
        ),
        ("en", "The bus comes at 00:05", "The bus comes at 12:05 am"),
        ("en", "Meet at 12:00-13:00", "Meet at 12 pm to 1 pm"),
        ("en", "[School] <Dial>110</Dial>", "School, Dial 110 Dial"),
    ],
)
def test_words_are_made_to_be_heard(language: Language, written: str, said: str) -> None:
    assert spoken.sayable(written, language) == said


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_alert_there_is_is_short_enough_to_listen_to(language: Language) -> None:
    for kind, facts in alerts.FACTS.items():
        for fact in facts:
            for why in alerts.WHY:
                for act in alerts.ACTS:
                    title = alerts.title_of(alerts.Alert(kind, fact, why, act), "16:30")
                    said = spoken.render(
                        "notice_call",
                        language,
                        {"sender": Text("光明实验小学", "Guangming School"), "title": title},
                    )
                    assert not set("（）()【】[]{}*#") & set(said), said
                    assert "，，" not in said and ", ," not in said and ",," not in said, said
                    # half a minute by the pace of a voice: four characters, or two and a half words, a second
                    assert (len(said) / 4 if language == "zh" else len(said.split()) / 2.5) < 30


def test_what_is_said_in_calls_is_fit_for_it() -> None:
    assert lint.spoken_faults() == []


@pytest.mark.parametrize(
    ("zh", "en", "found"),
    [
        (
            "{sender}，{children}，按 1，按 2",
            "{sender}, {children}, press 1 or 2",
            "says {children}",
        ),
        ("{sender}，{open}，按 1，按 2", "{sender}, {open}, press 1 or 2", "says {open}"),
        ("{sender}，按 1，按 2", "{title}, press 1 or 2", "other places"),
        ("{sender}，按 1", "{sender}, press 1 or 2", "both keys"),
        ("{sender}，按 1\n按 2", "{sender}, press 1 or 2", "several lines"),
        ("{poem}，按 1，按 2", "{poem}, press 1 or 2", "{poem}, which there is not"),
        ("见 www.x.cn/a，按 1，按 2", "press 1 or 2", "a link"),
        ("按 1，按 2", None, "is missing"),
    ],
)
def test_a_poor_wording_is_found(tmp_path: Path, zh: str, en: str | None, found: str) -> None:
    folder = tmp_path / "notice_call"
    folder.mkdir()
    (folder / "zh.txt").write_text(zh, encoding="utf-8")
    if en is not None:
        (folder / "en.txt").write_text(en, encoding="utf-8")
    faults = lint.spoken_faults(tmp_path)
    assert [f for f in faults if found in f.found and f.remedy], faults


@pytest.mark.parametrize(
    ("language", "sentence"), [("zh", "请周五八点到校门口集合。"), ("en", "Meet at the gate. ")]
)
def test_of_a_long_notice_whole_sentences_are_read_and_twilio_takes_them(
    language: Language, sentence: str
) -> None:
    said = spoken.listenable(sentence * 100, language)
    kept = said.removesuffix(spoken.REST[language]).rstrip()
    assert said != kept and kept == (sentence * kept.count(sentence.strip())).rstrip()
    assert 0 < len(kept) <= spoken.LONGEST[language]
    whole = spoken.render(
        "notice_read_out",
        language,
        {
            "sender": Text("学" * 40, "s" * 60),
            "title": Text("题" * 60, "t" * 120),
            "text": Text(said, said),
        },
    )
    assert len(asking(whole, language, "https://school.example.cn/" + "x" * 100)) < LONGEST_DOCUMENT


def test_a_notice_of_one_endless_sentence_is_cut_and_an_empty_one_points_elsewhere() -> None:
    assert spoken.listenable("字" * 500, "zh").endswith(spoken.REST["zh"])
    assert spoken.listenable("https://x.example.cn", "zh") == spoken.REST["zh"]
