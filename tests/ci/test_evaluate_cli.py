"""`evaluate` and `gate` on real bundles through the command line, without a server.

The tests of this file tell one story in their order. The baseline's environment has target
`hosts`, so the live bundle is what the registry names and the artifact store keeps.
"""

import json

import pyarrow.parquet as pq
import pytest

from ci import registry
from ci.__main__ import main
from ci.config import load_config
from ci.workspace import remove
from model.data.dataset import Dataset
from tests.shop import SMALL

SETTINGS = """
[environments.local]
[environments.live]
target = "hosts"
[gate]
baseline_environment = "live"
margin = 0.10
min_users = 100
min_slice_users = 100
"""


class Story:
    """One shop, driven in this process."""

    def __init__(self, folder):
        self.path = folder / "story.toml"
        small = SMALL.partition("[gate]")[0] + "[serving]" + SMALL.partition("[serving]")[2]
        head = '[shop]\nname = "judged"\n'
        storage = f'[storage]\nbuild = "{folder}/build"\nstate = "{folder}/var"\n'
        self.path.write_text(head + storage + small + SETTINGS)
        self.config = load_config(self.path)
        self.task = self.config.build / "next_item"

    def ci(self, *arguments):
        return main(["--config", str(self.path), *arguments])

    def make(self, *settings):
        """Train and export a challenger."""
        return [self.ci(*settings, stage) for stage in ("prepare", "train", "export")]

    def read(self, name):
        return json.loads((self.task / name).read_text())


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    story = Story(tmp_path_factory.mktemp("judged"))
    assert story.make("--set", "model.name=repeat") == [0, 0, 0]
    assert story.ci("--set", "model.name=repeat", "evaluate") == 0
    return story


def test_the_first_release_needs_a_word_where_the_target_is_not_one_machine(story, capsys):
    settings = ("--set", "model.name=repeat")
    assert story.ci(*settings, "gate") == 10
    assert "--first-release" in capsys.readouterr().err
    assert story.ci(*settings, "gate", "--first-release") == 0
    assert story.read("gate.json")["first_release_flag"] is True


def test_challenger_and_rungs_are_scored_on_the_same_shoppers(story):
    evaluation = story.read("evaluation.json")
    table = pq.read_table(story.task / "per_user.parquet")
    assert set(table["model"].to_pylist()) == {"challenger", "popularity"}
    assert table.num_rows == 2 * evaluation["window"]["users"]
    values = {
        name: evaluation["models"][name]["metrics"]["ndcg_at_10"]
        for name in ("challenger", "popularity")
    }
    assert values["challenger"]["lower"] > values["popularity"]["upper"]
    assert evaluation["models"]["live"] is None
    assert 0 < values["challenger"]["value"] < evaluation["oracle"]["ndcg_at_10"]
    assert all(engine["passed"] for engine in evaluation["parity"]["engines"].values())
    assert evaluation["cost"]["challenger"]["cpu_ms_per_request"] > 0


def test_the_metrics_are_those_of_the_keras_model(story):
    """Another way to the same figure: the trained model scored by `model/rungs/validation.py`."""
    from model.rungs.recommender import FitContext, load
    from model.rungs.validation import Window

    dataset = Dataset.load(story.task / "dataset")
    lengths = story.config.model.history_length, story.config.model.frequent_length
    context = FitContext(dataset.start_of("test"), *lengths)
    expected = Window.of(dataset, "test", context).metrics(load(story.task / "model.keras"))
    seen = story.read("evaluation.json")["models"]["challenger"]["metrics"]
    for name in ("ndcg_at_10", "hit_rate_at_10", "revenue_at_10", "debiased_ndcg_at_10"):
        assert seen[name]["value"] == pytest.approx(expected[name], rel=1e-3)


def test_nobody_is_named(story):
    users = set(Dataset.load(story.task / "dataset").user_ids)
    written = pq.read_table(story.task / "per_user.parquet")["user"].to_pylist()
    assert not users & set(written)
    assert {len(name) for name in written} == {32}
    assert (story.config.state / "salt").stat().st_mode & 0o077 == 0


def test_a_worse_challenger_is_held_against_the_live_bundle(story, capsys):
    registry.promote(story.config, "live", story.read("bundle.json")["model_version"])
    worse = ("--set", "model.name=popularity")
    assert story.make(*worse) == [0, 0, 0]
    assert story.ci(*worse, "evaluate") == 0
    assert story.ci(*worse, "gate") == 10
    assert "HOLD: non_inferiority" in capsys.readouterr().err
    models = story.read("evaluation.json")["models"]
    assert models["live"]["model_version"] == 1
    assert models["challenger"]["model_version"] == 2
    assert story.read("gate.json")["baseline"]["digest"] == models["live"]["digest"]


def test_an_altered_challenger_is_refused(story, capsys):
    bundle = story.read("bundle.json")
    vocabulary = story.task / "bundle" / str(bundle["model_version"]) / "assets/vocabulary.txt"
    # A file of its own: the artifact store may share the bytes by a hard link.
    content = vocabulary.read_bytes()
    vocabulary.unlink()
    vocabulary.write_bytes(content + b"planted\n")
    assert story.ci("--set", "model.name=popularity", "evaluate") == 6
    assert "was altered after `export`" in capsys.readouterr().err
    vocabulary.write_bytes(content)


def test_a_live_model_that_has_seen_the_window_is_refused(story, capsys):
    longer = ("--set", "model.name=popularity", "--set", "data.test_days=35")
    assert story.make(*longer) == [0, 0, 0]
    assert story.ci(*longer, "evaluate") == 3
    message = capsys.readouterr().err
    assert "The live model was trained until" in message
    assert "of its events and up to" in message


def test_a_live_model_that_cannot_be_loaded_is_a_lost_baseline(story, capsys):
    live = registry.live_version(story.config, "live")
    remove(story.config.state / "artifacts" / live.digest.removeprefix("sha256:"))
    assert story.ci("--set", "model.name=popularity", "evaluate") == 4
    assert "baseline" in capsys.readouterr().err
