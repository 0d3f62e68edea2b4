"""A training whose agent was lost goes on from its checkpoint on another agent."""

import re
from pathlib import Path

import pytest

from tests.rollout_shop import eventually
from tests.shop import Shop, open_shop

NETWORK = """
[simulator]
shoppers = 300
items = 60
events = 20_000
bots = 0
[data]
min_item_events = 1
source = "{source}"
[model]
name = "dnn"
history_length = 10
frequent_length = 5
cpu_seconds = 12
"""


@pytest.fixture
def agents(tmp_path, monkeypatch) -> tuple[Shop, Shop]:
    """Two agents with workspaces of their own, which read one log and share a store."""
    monkeypatch.setenv("PUSHCART_ARTIFACTS", str(tmp_path / "shared"))
    log = tmp_path / "events.parquet"
    made = [tmp_path / name for name in ("first", "second")]
    for folder in made:
        folder.mkdir()
    first, second = (open_shop(folder, "one", NETWORK.format(source=log)) for folder in made)
    first.ci("--set", "data.source=simulator", "simulate", "--to", str(log))
    return first, second


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / "shared/one/checkpoints").glob("*/dnn-????????????????.npz"))


def test_another_agent_goes_on_where_the_lost_one_was(agents, tmp_path):
    first, second = agents
    first.ci("prepare")
    lost = first.start("train")
    eventually(lambda: checkpoints(tmp_path) or lost.poll() is not None, seconds=120)
    lost.kill()
    lost.communicate()
    assert checkpoints(tmp_path), "it ended before it had a checkpoint"
    second.ci("prepare")
    said = second.ci("train")
    assert re.search(r"; resumed dnn at step [\d,]+", said), said
    notes = second.artifact("training.json")["notes"]
    assert 0 < notes["resumed_at_step"] < notes["planned_steps"]
    assert not checkpoints(tmp_path)
    assert "resumed" not in second.ci("train", "--force")
