"""The page on a team's own model, followed to a verdict."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ci.config import PROJECT
from tests.shop import open_shop

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own-model.md"
SMALL = """
[simulator]
shoppers = 300
items = 60
events = 15_000
bots = 3
[data]
test_days = 28
[gate]
min_slice_users = 100
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A small shop configured as the page says, its module where the project's own are found."""
    code, settings = re.findall(r"```(?:python|toml)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 42
    folder = tmp_path_factory.mktemp("own")
    (folder / "our_shop.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(PROJECT), str(folder)])
    return replace(open_shop(folder, "own", SMALL + settings), python_path=path)


def test_the_page_leads_to_a_verdict(shop):
    for stage in ("prepare", "train", "export", "evaluate"):
        shop.ci(stage)
    ladder = shop.artifact("training.json")["ladder"]
    assert set(ladder) == {"popularity", "repeat", "covisit", "linear"}
    evaluation = shop.artifact("evaluation.json")
    judged = evaluation["models"]["challenger"]["metrics"]
    assert 0.0 < judged["ndcg_at_10"]["value"] < 1.0
    assert judged["rare_hits"]["value"] >= 0.0
    assert judged["ndcg_at_10"]["value"] > ladder["popularity"]["validation"]["ndcg_at_10"]
    shop.ci("gate", "--set", "gate.must_beat=false")
    assert shop.artifact("gate.json")["decision"] == "PROMOTE"


def test_a_closed_form_that_is_better_holds_it_back(shop):
    shop.ci("gate", expect=10)
    assert "must_beat" in str(shop.artifact("gate.json"))


def test_an_edited_module_is_trained_again(shop):
    assert "train     reused" in shop.ci("train")
    with (shop.folder / "our_shop.py").open("a", encoding="utf-8") as module:
        module.write("# looked at again\n")
    printed = shop.ci("train")
    assert "(outside module our_shop)" in printed
    assert "reused" not in printed
