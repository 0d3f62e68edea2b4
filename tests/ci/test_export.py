"""Stage `export`: from a CSV through `prepare` and `train` to a stored, registered bundle."""

import csv
import datetime
import random

import numpy as np
import pytest

from ci import artifacts
from ci.config import load_config
from ci.errors import UnavailableError, UsageError
from ci.evaluating.parity import answers_of, check_engine, parity
from ci.stages import export, prepare, train
from ci.workspace import Workspace, digest_of
from model.bundle.card import golden_requests
from model.bundle.export import load_bundle, read_card
from model.bundle.reference import reference_answers, string_inputs
from model.data.dataset import Dataset
from model.rungs.recommender import load, save
from model.schema import Input, Output

SETTINGS = """
[shop]
name = "corner"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[data]
source = "events.csv"
test_days = 10
validation_days = 10
features = []
[model]
name = "blend"
parts = ["popularity", "repeat", "linear"]
history_length = 8
frequent_length = 5
top_k = 12
"""


def write_events(path):
    """60 shoppers with a taste for one of three groups of 6 items each, over 60 days."""
    rng = random.Random(1)  # noqa: S311  a shop, not a secret
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "user_id", "item_id", "event_type", "timestamp", "price"])
        for number in range(2_400):
            user = rng.randrange(60)
            group = user % 3 if rng.random() < 0.8 else rng.randrange(3)
            at = start + datetime.timedelta(minutes=36 * number)
            kind = "purchase" if rng.random() < 0.4 else "view"
            item = f"item {group * 6 + rng.randrange(6)}"
            writer.writerow([f"e{number}", f"u{user}", item, kind, at.isoformat(), "9.5"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A shop that has trained."""
    folder = tmp_path_factory.mktemp("corner")
    write_events(folder / "events.csv")
    (folder / "shop.toml").write_text(SETTINGS.format(folder=folder))
    config = load_config(folder / "shop.toml")
    workspace = Workspace(config.build, config.build / "next_item")
    prepare.run(config, workspace)
    train.run(config, workspace)
    return config, workspace


@pytest.fixture(scope="module")
def exported(trained):
    config, workspace = trained
    line = export.run(config, workspace)
    assert line.startswith("version 1, ")
    return config, workspace, workspace.read_json("bundle.json", "export")


def test_the_bundle_is_registered_and_stored_by_its_digest(exported):
    config, workspace, written = exported
    bundle = workspace.path(written["path"])
    assert written["path"] == "bundle/1"
    assert (
        written["digest"]
        == digest_of(bundle)
        == digest_of(artifacts.fetch(config, written["digest"]))
    )
    assert written["bytes"] == sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file())
    assert [path.name for path in bundle.parent.iterdir()] == ["1"]


def test_the_same_model_keeps_its_version(exported):
    config, workspace, written = exported
    export.run(config, workspace)
    assert workspace.read_json("bundle.json", "export") == written


def test_a_bundle_missing_from_the_store_or_the_registry_is_not_kept(exported):
    config, workspace, written = exported
    stored = artifacts.fetch(config, written["digest"])
    for place in (stored, config.state / "mlflow.db"):
        assert export.kept(config, workspace)
        place.rename(place.with_suffix(".away"))
        assert not export.kept(config, workspace)
        place.with_suffix(".away").rename(place)


def test_a_lost_registry_never_begins_again_beside_a_released_bundle(exported):
    config, workspace, written = exported
    record, registry = config.environment_state("local") / "record.json", config.state / "mlflow.db"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    registry.rename(registry.with_suffix(".away"))
    with pytest.raises(UnavailableError, match=r"record\.json remembers releases: it was lost"):
        export.run(config, workspace)
    registry.with_suffix(".away").rename(registry)
    record.unlink()
    assert workspace.read_json("bundle.json", "export") == written


def test_the_card_tells_where_it_comes_from(exported):
    _, workspace, written = exported
    card = read_card(workspace.path(written["path"]))
    training = workspace.read_json("training.json", "train")
    dataset = Dataset.load(workspace.path("dataset"))
    assert card["data_digest"] == dataset.meta["digest"]
    assert card["trained_until"] == training["trained_until"]
    assert card["validation"] == training["validation"]
    assert card["inputs_read"] == training["inputs_read"]
    assert (card["shop"], card["task"], card["model"]) == ("corner", "next_item", "blend")
    assert (card["items"], card["top_k"]) == (18, 12)
    assert len(card["commit"].removesuffix("-dirty")) in (0, 40)


def test_the_goldens_hold_a_stranger_and_a_newcomer(exported):
    _, workspace, written = exported
    bundle = workspace.path(written["path"])
    requests = golden_requests(read_card(bundle))
    assert len(requests[Input.HISTORY]) == 32
    assert requests[Input.HISTORY][-2, -1] == "unknown"
    assert not (requests[Input.HISTORY][-1] != "").any()
    known = load_bundle(bundle)(requests)[Output.KNOWN_ITEMS]
    assert known[-2] == (requests[Input.HISTORY][-2] != "").sum() - 1
    assert known[-1] == 0


@pytest.mark.parametrize("engine", ["savedmodel", "litert"])
def test_every_engine_equals_the_trained_model_for_every_shopper(exported, engine):
    """All 60 shoppers at the end of the log: histories, frequent items and all event types."""
    _, workspace, written = exported
    bundle = workspace.path(written["path"])
    assert check_engine(bundle, engine, load_bundle(bundle, engine)).passed
    dataset = Dataset.load(workspace.path("dataset"))
    states = dataset.states(int(dataset.timestamp.max()) + 1, None, 8, 5)
    inputs = string_inputs(states, dataset.item_ids)
    wanted = reference_answers(load(workspace.path("model.keras")), inputs, dataset.item_ids, 12)
    seen = load_bundle(bundle, engine)(inputs)
    tolerance = read_card(bundle)["tolerance"][engine]
    result = parity(answers_of(wanted), answers_of(seen), tolerance)
    assert result.passed, result.first_difference
    assert result.rows == dataset.users
    assert seen[Output.KNOWN_ITEMS].tolist() == wanted[Output.KNOWN_ITEMS].tolist()


def test_a_model_of_other_data_is_refused(exported, tmp_path):
    """A model of four items beside a dataset of eighteen; nothing half-written is left."""
    config, workspace, _ = exported
    other = Workspace(tmp_path, tmp_path / "next_item")
    (tmp_path / "next_item").mkdir()
    for name in ("dataset", "training.json"):
        other.path(name).symlink_to(workspace.path(name))
    dataset = Dataset.load(workspace.path("dataset"))
    small = np.arange(1, 5)
    from model.rungs.popularity import Popularity
    from model.rungs.recommender import as_model

    model = as_model(Popularity(len(small), name="popularity"), 8, 5)
    save(model, other.path("model.keras"))
    with pytest.raises(
        UsageError, match=f"scores 5 columns, but the vocabulary has {dataset.items}"
    ):
        export.run(config, other)
    assert {path.name for path in other.task.iterdir()} == {
        "dataset",
        "training.json",
        "model.keras",
    }
