"""What happened, put into the words of a language."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from ci.settings import Event

LONGEST: Final = 300  # characters of one fact: the least room is WeCom's, 4,096 bytes in all

Happening = Literal["PROMOTE", "HOLD", "INCONCLUSIVE", "deployed", "rolled_back", "failed"]


@dataclass(frozen=True)
class News:
    """What happened.

    Attributes:
        event: Which of the three kinds, as channels ask for them.
        what: What it is, as a key of the words.
        shop: Whose.
        environment: Where; of a verdict, whose live model was the one to beat.
        model_version: The release or the challenger; 0 where there is none.
        decision: The gate's, and by whom it was overridden.
        reason: Why: the gate's reason, or what went wrong.
        command: What failed, as typed.
        exit_code: How it ended.
        override: Why it went out although the gate or a freeze stood against it.
        who: Who did it.
        approved_by: Who approved it.
        link: The build's page.
    """

    event: Event
    what: Happening
    shop: str
    environment: str
    model_version: int = 0
    decision: str = ""
    reason: str = ""
    command: str = ""
    exit_code: int = 0
    override: str = ""
    who: str = ""
    approved_by: str = ""
    link: str = ""

    def as_json(self) -> dict[str, Any]:
        """Every fact by its name."""
        return asdict(self)


TITLES: Final[dict[str, dict[str, str]]] = {
    "en": {
        "PROMOTE": "{shop}: PROMOTE, model version {model_version} may replace the live model",
        "HOLD": "{shop}: HOLD, the live model stays; model version {model_version} is held",
        "INCONCLUSIVE": "{shop}: INCONCLUSIVE, the data cannot decide on version {model_version}",
        "deployed": "{shop}: release {model_version} is live in {environment}",
        "rolled_back": "{shop}: {environment} went back to release {model_version}",
        "failed": "{shop}: {command} failed with exit code {exit_code}",
    },
    "zh": {
        "PROMOTE": "{shop}：PROMOTE，模型版本 {model_version} 可以替换线上模型",
        "HOLD": "{shop}：HOLD，线上模型保持不变，模型版本 {model_version} 被拦下",
        "INCONCLUSIVE": "{shop}：INCONCLUSIVE，数据不足以判定模型版本 {model_version}",
        "deployed": "{shop}：版本 {model_version} 已在 {environment} 上线",
        "rolled_back": "{shop}：{environment} 已回滚到版本 {model_version}",
        "failed": "{shop}：{command} 失败，退出码 {exit_code}",
    },
}
LABELS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "environment": "environment",
        "model_version": "version",
        "decision": "decision",
        "reason": "reason",
        "override": "overridden",
        "who": "who",
        "approved_by": "approved by",
        "link": "build",
    },
    "zh": {
        "environment": "环境",
        "model_version": "版本",
        "decision": "判定",
        "reason": "原因",
        "override": "强制放行",
        "who": "操作人",
        "approved_by": "批准人",
        "link": "构建",
    },
}


@dataclass(frozen=True)
class Message:
    """News as people read it.

    Attributes:
        title: One line.
        facts: Label and value of what is known, without the link.
        link_label: What the link is called.
        link: The build's page; "" where there is none.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    link_label: str
    link: str


def write(news: News, language: str) -> Message:
    """Put news into words; what others said, such as the gate's reason, stays as they said it."""
    labels, known = LABELS[language], news.as_json()
    facts = [(name, _short(str(known[name]))) for name in labels if name != "link" and known[name]]
    return Message(
        title=TITLES[language][news.what].format_map(known),
        facts=tuple((labels[name], value) for name, value in facts),
        link_label=labels["link"],
        link=news.link,
    )


def _short(text: str) -> str:
    return textwrap.shorten(text, LONGEST, placeholder=" …")
