"""The first steps with one's own log print what docs/start.md shows."""

import re
from pathlib import Path

import pytest

from ci.config import PROJECT
from tests.docs.pages import read_page
from tests.shop import Shop, open_shop

OWN_LOG, ENOUGH = (
    next(section for section in read_page(PROJECT / "docs" / "start.md") if section.title == title)
    for title in ("Your own log", "Enough shoppers to judge")
)
SETTINGS = [content for language, content in OWN_LOG.code if language == "toml"]
PRINTED = [
    content.partition("$ bin/ci prepare\n")[2]
    for _, content in OWN_LOG.code
    if "$ bin/ci prepare\n" in content
]
LONGER = next(content for language, content in ENOUGH.code if language == "toml")


@pytest.fixture
def shop(tmp_path):
    """A shop in whose folder the sample lies where the page looks for it."""
    (tmp_path / "docs").symlink_to(PROJECT / "docs")
    return lambda settings: open_shop(tmp_path, "myshop", settings)


def lasting(text: str, folder: Path | str) -> str:
    """What is printed, without the seconds it took, why it ran and where it lies."""
    text = re.sub(r"  \[[\d.]+ (?:s|ms)\]$|\(first run\)|\(settings .*\)$", "", text, flags=re.M)
    return text.replace(f"{folder}/", "").strip()


@pytest.mark.parametrize("step", range(len(SETTINGS)))
def test_each_step_towards_the_own_log_prints_what_is_shown(step, shop, tmp_path):
    assert len(PRINTED) == len(SETTINGS) == 3
    printed = shop(SETTINGS[step]).ci("prepare", expect=3 if step == 0 else 0)
    assert lasting(printed, tmp_path) == lasting(PRINTED[step], "/home/you/myshop")


def judged(shop: Shop) -> str:
    """The line of `evaluate` with the number of shoppers and the scores."""
    for stage in ("prepare", "train", "export"):
        shop.ci("--set", "model.name=repeat", stage)
    printed = shop.ci("--set", "model.name=repeat", "evaluate")
    return lasting(printed.splitlines()[-1], "")


def test_a_longer_window_brings_the_shown_number_of_shoppers(shop):
    shown = [
        lasting(line, "")
        for line in "".join(content for _, content in ENOUGH.code).splitlines()
        if "challenger" in line and "repeat " not in line
    ]
    longer = SETTINGS[-1].replace("[data]\n", f"[data]\n{LONGER}")
    assert [judged(shop(SETTINGS[-1])), judged(shop(longer))] == shown
