"""The order of the rungs on a window that none has seen, over five simulated shops."""

import numpy as np
import pytest

from ci.config import load_config
from ci.stages import prepare
from ci.workspace import Workspace
from model.data.dataset import Dataset
from model.rungs import metrics
from model.rungs.recommender import FitContext, recommend
from model.rungs.training import TrainSettings, train
from model.rungs.validation import Window
from tests.shop import open_shop

SEEDS = (1, 2, 3, 4, 5)
SHOP = """
[simulator]
shoppers = 800
items = 400
events = 50_000
bots = 2
seed = {seed}
[data]
test_days = 28
"""
SETTINGS = TrainSettings(
    history_length=20, frequent_length=10, embedding_dim=16, batch_size=64, cpu_seconds=12
)
MARGIN = 0.03  # as the gate's


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> list[dict[str, np.ndarray]]:
    """NDCG@10 of every shopper of the test window by rung, one dictionary a seed."""
    found = []
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        config = load_config(open_shop(folder, "order", SHOP.format(seed=seed)).config)
        prepare.run(config, Workspace(folder, folder))
        dataset = Dataset.load(folder / "dataset")
        trained = train(dataset, SETTINGS)
        context = FitContext(0, SETTINGS.history_length, SETTINGS.frequent_length)
        window = Window.of(dataset, "test", context)
        models = {**trained.ladder, "blend": trained.model}
        lists = {name: recommend(model, window.inputs) for name, model in models.items()}
        found.append({name: metrics.ndcg(top, window.targets) for name, top in lists.items()})
    return found


def lower_end(better: str, worse: str, judged: list[dict[str, np.ndarray]]) -> float:
    """Lower end of the 95 % interval of (better - worse), over the shoppers of all seeds."""
    difference = np.concatenate([one[better] - one[worse] for one in judged])
    return float(difference.mean() - 1.96 * difference.std(ddof=1) / np.sqrt(len(difference)))


@pytest.mark.parametrize(
    ("better", "worse"),
    [("linear", "covisit"), ("covisit", "popularity"), ("blend", "transformer")],
)
def test_a_higher_rung_is_better_in_every_shop(better, worse, judged):
    assert all(one[better].mean() > one[worse].mean() for one in judged)
    assert lower_end(better, worse, judged) > 0


@pytest.mark.parametrize("part", SETTINGS.parts)
def test_the_blend_is_not_inferior_to_any_part(part, judged):
    mean = np.concatenate([one[part] for one in judged]).mean()
    assert lower_end("blend", part, judged) > -MARGIN * mean
