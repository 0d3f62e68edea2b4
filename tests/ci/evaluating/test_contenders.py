"""Lists of bundles and rungs for the same shoppers, against the Keras model itself."""

import numpy as np
import pandas as pd
import pytest

from ci.evaluating.contenders import bundle_lists, measure_parity, rung_lists
from ci.evaluating.scoring import number_items, open_window
from model.data.dataset import Dataset
from model.rungs.popularity import Popularity
from model.rungs.recommender import as_model, save
from model.schema import EVENT_TYPE_INDEX, HISTORY_EVENT_TYPES
from tests.tiny import LENGTHS, VOCABULARY, export_tiny, tiny_model

KINDS = [EVENT_TYPE_INDEX[name] for name in HISTORY_EVENT_TYPES]
SHOPPERS = 300  # more than one batch


@pytest.fixture(scope="module")
def dataset():
    """Shoppers with up to eight past events, each of whom buys one item in the window."""
    generator = np.random.default_rng(5)
    rows = []
    for user in range(SHOPPERS):
        past = sorted(generator.integers(0, 80_000, generator.integers(0, 9)).tolist())
        rows += [
            (user, int(generator.integers(1, 21)), int(generator.choice(KINDS)), moment, 1, 0)
            for moment in past
        ]
        rows.append((user, int(generator.integers(1, 21)), KINDS[-1], 100_000 + user, 2, 2))
    names = ("user_index", "item_index", "event_type", "timestamp", "session", "split")
    arrays = {n: np.array(c) for n, c in zip(names, zip(*rows, strict=True), strict=True)}
    # The dataset's order of items is not that of the bundle: ids, not indexes, must be compared.
    ids = VOCABULARY[::-1]
    return Dataset(
        **arrays,
        outside_index=np.zeros(len(rows), np.int32),
        quantity=np.ones(len(rows), np.float32),
        price=np.ones(len(rows), np.float32),
        item_table=pd.DataFrame({"item_id": ids, "train_count": np.arange(20, 0, -1)}),
        user_table=pd.DataFrame({"user_id": [f"u{user}" for user in range(SHOPPERS)]}),
        meta={
            "target": "purchase",
            "test_start": "1970-01-02T03:46:40Z",
            "test_end": "1970-01-03T00:00:00Z",
        },
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return export_tiny(tmp_path_factory.mktemp("bundle") / "1")


@pytest.fixture(scope="module")
def window(dataset):
    return open_window(dataset)


def expected_lists(dataset, window):
    """The tiny model's ten best ids, from its Keras scores over its own order of items."""
    place = {name: index for index, name in enumerate(VOCABULARY, start=1)}
    translated = np.array([0, *(place[name] for name in dataset.item_ids)], np.int32)
    states = dataset.states(window.start, window.users, LENGTHS.history, LENGTHS.frequent)
    states["history"] = translated[states["history"]]
    states["frequent_items"] = translated[states["frequent_items"]]
    scores = np.asarray(tiny_model()(states)["scores"])[:, 1:]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return np.array(VOCABULARY, dtype=object)[order]


def test_a_bundle_is_asked_by_ids_with_its_own_lengths(bundle, dataset, window):
    lists = bundle_lists(bundle, dataset, window)
    assert lists.shape == (SHOPPERS, 10)
    assert (lists == expected_lists(dataset, window)).mean() > 0.999  # near-ties may swap
    numbers = number_items(lists, window.numbers)
    assert dataset.item_ids[numbers[7, 0] - 1] == lists[7, 0]


def test_a_rung_answers_in_the_datasets_own_indexes(tmp_path, dataset, window):
    model = as_model(Popularity(20, name="popularity"), 6, 4)
    weights = np.arange(21, dtype=np.float32)  # item 20 first
    model.set_weights([weights.reshape(model.get_weights()[0].shape)])
    save(model, tmp_path / "popularity.keras")
    lists = rung_lists(tmp_path / "popularity.keras", dataset, window, (6, 4))
    assert lists.tolist() == [list(range(20, 10, -1))] * SHOPPERS


def test_a_model_that_knows_fewer_than_ten_items_leaves_places_empty(tmp_path, dataset, window):
    model = as_model(Popularity(4, name="popularity"), 6, 4)
    save(model, tmp_path / "popularity.keras")
    lists = rung_lists(tmp_path / "popularity.keras", dataset, window, (6, 4))
    assert lists.shape == (SHOPPERS, 10)
    assert (lists[:, 4:] == 0).all()


def test_parity_is_told_engine_by_engine_and_on_judged_rows(tmp_path, bundle, dataset):
    ordered = dataset_in_order(dataset)
    tiny_model().save(tmp_path / "tiny.keras")
    seen = parity_of(bundle, tmp_path / "tiny.keras", ordered)
    assert set(seen["engines"]) == {"savedmodel", "litert", "judged_rows"}
    assert all(engine["passed"] for engine in seen["engines"].values())
    assert seen["engines"]["judged_rows"]["rows"] == 200
    tiny_model(seed=4).save(tmp_path / "other.keras")
    other = parity_of(bundle, tmp_path / "other.keras", ordered)["engines"]
    assert not other["judged_rows"]["passed"]
    assert other["savedmodel"]["passed"]


def parity_of(bundle, trained, dataset):
    return measure_parity(bundle, trained, dataset, open_window(dataset))


def dataset_in_order(dataset):
    """The same shoppers over the bundle's own order of items, as after its export."""
    table = dataset.item_table.assign(item_id=VOCABULARY)
    return Dataset(**{**vars_of(dataset), "item_table": table})


def vars_of(dataset):
    return {name: getattr(dataset, name) for name in Dataset.__dataclass_fields__}
