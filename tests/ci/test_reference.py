"""Pull requests judged on the reference: no database, no credentials, the same rows for both."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ci import artifacts, publishing, reference
from ci.config import load_config
from tests.shop import SMALL, Shop, open_shop

# What a pull request must not need: the shop's database and its password.
UNREACHABLE = """[data]
source = "postgresql://nobody@127.0.0.1:1/none"
password_env = "SHOP_DB_PASSWORD"
"""


@dataclass(frozen=True)
class MainBranch:
    """A shop, and what it said when it published its reference twice."""

    shop: Shop
    first: str
    second: str

    @property
    def published(self) -> dict[str, Any]:
        return self.shop.artifact("../reference.json")

    @property
    def home(self) -> str:
        """Name of the reference's folder in the store."""
        return self.published["digest"].removeprefix("sha256:")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def main_branch(tmp_path_factory, shared):
    """The main branch with a live release, and the reference that it published."""
    folder = tmp_path_factory.mktemp("main")
    shop = open_shop(folder, "one")
    environment = {"PUSHCART_ARTIFACTS": str(shared), "PUSHCART_STATE": str(folder / "var")}
    try:
        shop.ci("run", environment=environment)
        said = [shop.ci("reference", environment=environment) for _ in range(2)]
        yield MainBranch(shop, *said)
    finally:
        shop.stop()


@dataclass(frozen=True)
class PullRequest:
    """A branch's workspace and the store that it reads."""

    shop: Shop
    shared: Path

    @property
    def build(self) -> Path:
        return self.shop.build

    def ci(self, *options: str, expect: int = 0) -> str:
        environment = {"PUSHCART_ARTIFACTS": str(self.shared)}
        return self.shop.ci("--reference", *options, expect=expect, environment=environment)


@pytest.fixture
def pull_request(tmp_path, shared, main_branch):
    """An empty workspace that sees the shared store alone."""
    shop = open_shop(tmp_path, "one", SMALL.replace("[data]\n", UNREACHABLE))

    return PullRequest(shop, shared)


def test_main_publishes_once_what_did_not_change(main_branch, shared):
    assert "under pseudonyms" in main_branch.first
    assert "live release 1: ndcg_at_10 0." in main_branch.first
    assert "reused" in main_branch.second
    assert "train" not in main_branch.second
    assert json.loads((shared / "one" / reference.POINTER).read_text())["before"] == ""


def test_no_shopper_of_the_shop_is_named_in_it(main_branch, shared):
    home = shared / "one" / main_branch.home
    events = pd.read_parquet(home / reference.EVENTS)
    assert len(events) > 10_000
    assert events["user_id"].str.fullmatch("[0-9a-f]{32}").all()
    assert "query" not in events
    named = set()
    for path in home.rglob("*.parquet"):
        frame = pd.read_parquet(path)
        for column in {"user_id", "user"} & set(frame.columns):
            named |= set(frame[column])
    assert named
    assert not [name for name in named if str(name).startswith("u0")]


def test_a_change_of_documentation_trains_nothing_and_is_let_through(pull_request):
    said = pull_request.ci("verdict")
    for stage in ("prepare", "train", "export"):
        assert f"{stage:<9} reused" in said
    assert "PROMOTE" in said
    gate = pull_request.shop.artifact("gate.json")
    assert gate["challenger"]["digest"] == gate["baseline"]["digest"]
    assert (pull_request.build / "verdict.txt").read_text().startswith("PROMOTE: ")


def test_a_worse_model_is_held_and_what_serves_is_shown_beside(pull_request, main_branch):
    said = pull_request.ci("--set", "model.name=popularity", "verdict", expect=10)
    assert "prepare   reused" in said
    assert "train     the challenger" in said
    gate = (pull_request.build / "next_item/gate.md").read_text()
    assert gate.startswith("# HOLD: the model of this change does not yet match that of the main")
    assert "Shown, not judged: release 1, which serves local, has ndcg_at_10 0." in gate
    assert "push again" in gate
    reason = (pull_request.build / "verdict.txt").read_text()
    assert reason.startswith("HOLD: non_inferiority")
    assert len(reason.splitlines()) == 1
    live = main_branch.published["live"]["figure"]["value"]
    served = main_branch.shop.artifact("evaluation.json")["models"]["challenger"]["metrics"]
    assert live == pytest.approx(served["ndcg_at_10"]["value"], abs=0.02)  # nearly all were drawn
    pull_request.ci("--set", "model.name=popularity", "report")
    comment = (pull_request.build / "report.md").read_text()
    assert "the main branch on the same rows" in comment


def test_what_main_keeps_is_not_touched(pull_request, main_branch, shared):
    before = sorted(path.name for path in (shared / "one").iterdir())
    pull_request.ci("--set", "model.name=popularity", "verdict", expect=10)
    assert sorted(path.name for path in (shared / "one").iterdir()) == before


def test_without_a_reference_nothing_is_promoted(pull_request, tmp_path):
    alone = replace(pull_request, shared=tmp_path / "empty")
    said = alone.ci("verdict", expect=11)
    assert "there is no reference to judge on in" in said
    assert "PROMOTE" not in said
    assert (pull_request.build / "verdict.txt").read_text().startswith("INCONCLUSIVE: there is no")
    alone.ci("report")
    comment = (alone.build / "report.md").read_text()
    assert comment.startswith("## INCONCLUSIVE · one")
    assert "there is no reference" in comment
    said = pull_request.shop.ci("--reference", "verdict", expect=11)
    assert "PUSHCART_ARTIFACTS is not set" in said


def test_an_altered_reference_is_refused(pull_request, main_branch, shared, tmp_path):
    copied = tmp_path / "copy"
    shutil.copytree(shared, copied)
    digest = main_branch.home
    (copied / "one" / digest / reference.EVENTS).write_bytes(b"other rows")
    said = replace(pull_request, shared=copied).ci("verdict", expect=6)
    assert "was altered in the store" in said


def test_the_newest_two_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PUSHCART_ARTIFACTS", str(tmp_path))
    (tmp_path / "pipeline.toml").write_text('[shop]\nname = "one"\n')
    config = load_config(tmp_path / "pipeline.toml")
    reference.store_of(config).mkdir()
    digests = []
    for number in range(4):
        home = tmp_path / f"made{number}"
        home.mkdir()
        (home / "facts.json").write_text(f"{number}")
        digests.append(publishing._point_to(config, home))
    assert [artifacts.has(config, digest) for digest in digests] == [False, False, True, True]
    assert reference.find_published(config) == reference.Published(digests[3], digests[2])
