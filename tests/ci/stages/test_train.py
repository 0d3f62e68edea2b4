"""`bin/ci train` as a person sees it: a bar while it works, and nothing of it in a file."""

import re

import pytest

from tests.shop import open_shop
from tests.terminal import on_a_terminal

TINY = """
[simulator]
shoppers = 60
items = 40
events = 2_000
bots = 0
[data]
min_item_events = 1
[model]
name = "repeat"
"""
BAR = "━"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop that is ready to train."""
    shop = open_shop(tmp_path_factory.mktemp("tiny"), "tiny", TINY)
    shop.ci("prepare")
    return shop


def test_a_person_sees_each_rung_its_figures_and_a_bar(shop):
    seen = on_a_terminal(shop.command("train", "--force"))
    assert BAR in seen
    for step in ("fit popularity", "fit repeat", "refit popularity", "refit repeat"):
        assert step in seen
    assert re.search(r"ndcg_at_10 0\.\d{4}", seen)


def test_a_file_gets_no_bar(shop):
    printed = shop.ci("train", "--force")
    assert "repeat: NDCG@10" in printed
    assert BAR not in printed
