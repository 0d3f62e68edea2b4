"""News in both languages, and what each kind of receiver is sent of it."""

import json
from typing import get_args

import pytest

from ci.notifying.bodies import body_of, dingtalk_url, feishu_body, mail_text
from ci.notifying.news import LABELS, LONGEST, TITLES, Happening, News, write

RELEASE = News(
    "release",
    "deployed",
    shop="tea",
    environment="production",
    model_version=7,
    decision="PROMOTE",
    reason="All 12 rules hold & <nothing> is worse.",
    override="prices are wrong",
    who="jenkins",
    approved_by="anna",
    link="https://ci.example.com/job/tea/7/",
)
FACTS = [
    ("environment", "production"),
    ("version", "7"),
    ("decision", "PROMOTE"),
    ("reason", "All 12 rules hold & <nothing> is worse."),
    ("overridden", "prices are wrong"),
    ("who", "jenkins"),
    ("approved by", "anna"),
]


def test_both_languages_have_words_for_everything():
    assert TITLES.keys() == LABELS.keys() == {"en", "zh"}
    assert TITLES["en"].keys() == TITLES["zh"].keys() == set(get_args(Happening))
    assert LABELS["en"].keys() == LABELS["zh"].keys()


def test_a_release_in_english_and_in_chinese():
    message = write(RELEASE, "en")
    assert message.title == "tea: release 7 is live in production"
    assert list(message.facts) == FACTS
    assert (message.link_label, message.link) == ("build", RELEASE.link)
    message = write(RELEASE, "zh")
    assert message.title == "tea：版本 7 已在 production 上线"
    assert [label for label, _ in message.facts] == [
        *("环境", "版本", "判定", "原因", "强制放行", "操作人", "批准人")
    ]
    assert message.link_label == "构建"


@pytest.mark.parametrize(
    ("news", "title"),
    [
        (
            News("verdict", "HOLD", "tea", "live", 8),
            "tea: HOLD, the live model stays; model version 8 is held",
        ),
        (
            News("verdict", "PROMOTE", "tea", "live", 8),
            "tea: PROMOTE, model version 8 may replace the live model",
        ),
        (
            News("verdict", "INCONCLUSIVE", "tea", "live", 8),
            "tea: INCONCLUSIVE, the data cannot decide on version 8",
        ),
        (
            News("release", "rolled_back", "tea", "live", 6),
            "tea: live went back to release 6",
        ),
        (
            News("failure", "failed", "tea", "live", command="bin/ci train", exit_code=3),
            "tea: bin/ci train failed with exit code 3",
        ),
    ],
)
def test_the_title_says_it_all(news, title):
    assert write(news, "en").title == title


def test_what_is_not_known_is_left_out_and_what_is_long_is_cut():
    news = News("failure", "failed", "tea", "live", reason="no\n room " * 200)
    (environment, reason) = write(news, "en").facts
    assert environment == ("environment", "live")
    assert len(reason[1]) <= LONGEST
    assert reason[1].startswith("no room no room")
    assert reason[1].endswith(" …")


def body(kind: str, news: News = RELEASE, language: str = "en") -> dict:
    return body_of(kind, news, write(news, language), language)


def test_slack():
    assert body("slack") == {
        "text": "*tea: release 7 is live in production*\n"
        "*environment*: production\n*version*: 7\n*decision*: PROMOTE\n"
        "*reason*: All 12 rules hold &amp; &lt;nothing&gt; is worse.\n"
        "*overridden*: prices are wrong\n*who*: jenkins\n*approved by*: anna\n"
        "<https://ci.example.com/job/tea/7/|build>",
        "unfurl_links": False,
    }


def test_dingtalk():
    assert body("dingtalk", language="zh") == {
        "msgtype": "markdown",
        "markdown": {
            "title": "tea：版本 7 已在 production 上线",
            "text": "#### tea：版本 7 已在 production 上线\n"
            "- **环境**: production\n- **版本**: 7\n- **判定**: PROMOTE\n"
            "- **原因**: All 12 rules hold & ＜nothing> is worse.\n"
            "- **强制放行**: prices are wrong\n- **操作人**: jenkins\n- **批准人**: anna\n"
            "- [构建](https://ci.example.com/job/tea/7/)",
        },
    }


def test_wecom():
    assert body("wecom") == {
        "msgtype": "markdown",
        "markdown": {
            "content": "#### tea: release 7 is live in production\n"
            "**environment**: production\n**version**: 7\n**decision**: PROMOTE\n"
            "**reason**: All 12 rules hold & ＜nothing> is worse.\n"
            "**overridden**: prices are wrong\n**who**: jenkins\n**approved by**: anna\n"
            "[build](https://ci.example.com/job/tea/7/)"
        },
    }


def test_feishu():
    assert body("feishu", language="en") == {
        "msg_type": "post",
        "content": {
            "post": {
                "en_us": {
                    "title": "tea: release 7 is live in production",
                    "content": [
                        *[[{"tag": "text", "text": f"{label}: {value}"}] for label, value in FACTS],
                        [{"tag": "a", "text": "build", "href": RELEASE.link}],
                    ],
                }
            }
        },
    }
    assert [*body("feishu", language="zh")["content"]["post"]] == ["zh_cn"]


def test_plain_json_has_every_fact_by_its_name():
    assert body("json") == {
        **RELEASE.as_json(),
        "title": "tea: release 7 is live in production",
    }
    assert body("json")["event"] == "release"


def test_mail():
    text = mail_text(RELEASE, write(RELEASE, "en"), "en")
    lines = [f"{label}: {value}" for label, value in FACTS]
    assert text.splitlines() == [
        "tea: release 7 is live in production",
        "",
        *lines,
        "build: https://ci.example.com/job/tea/7/",
    ]


@pytest.mark.parametrize("kind", ["slack", "dingtalk", "wecom", "feishu", "json"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_people_write_the_body_is_json_and_fits(kind, language):
    """The worst that a gate, a person and a build server can say; WeCom takes 4,096 bytes."""
    wild = '"\\\n{{ x }} </script> 界' * 100
    news = News("release", "deployed", "tea", "live", 7, "HOLD", reason=wild, override=wild)
    without_link = body(kind, news, language)
    assert "{{ x }}" in json.dumps(without_link)
    if kind == "wecom":
        assert len(without_link["markdown"]["content"].encode()) < 4096


def test_signatures_are_what_openssl_says():
    r"""`printf '1700000000000\nSECret' | openssl dgst -sha256 -hmac SECret -binary | base64`."""
    assert dingtalk_url("https://x/robot/send?access_token=t", "SECret", 1_700_000_000.0) == (
        "https://x/robot/send?access_token=t&timestamp=1700000000000"
        "&sign=F55vlsAdc0a3mVDx%2F8L2Nr6l%2Bp28jgN7eSHFXdvW9I4%3D"
    )
    # printf '' | openssl dgst -sha256 -mac HMAC -macopt hexkey:…, the key being moment and secret
    assert feishu_body({"msg_type": "post"}, "SECret", 1_700_000_000.9) == {
        "timestamp": "1700000000",
        "sign": "5iSV9Pr3uPe5co6u1yZRRkYDEYGNySKiq4yfM953e9A=",  # pragma: allowlist secret
        "msg_type": "post",
    }
