"""The closed-form rungs: their formulas by hand, their order on data, their files."""

import math
import tracemalloc

import numpy as np
import pytest

from model.data.targets import Targets
from model.rungs.blend import Blend, best_shares
from model.rungs.covisit import Covisit
from model.rungs.interest import InterestSettings, largest_weights
from model.rungs.linear import Linear, LinearSettings, products, ridge_solution
from model.rungs.popularity import Popularity
from model.rungs.recommender import (
    INPUT_DTYPES,
    FitContext,
    as_model,
    class_named,
    load,
    recommend,
    save,
    score,
)
from model.rungs.repeat import Repeat
from model.rungs.training import TrainSettings, rungs_to_fit, train
from model.rungs.validation import Window
from model.schema import CART, EVENT_TYPE_INDEX, PURCHASE, VIEW, DataError, Input
from tests.model.rungs.shops import DAY, START, Row, dataset_of, tasteful_shop

LENGTH = 6
CONTEXT = FitContext(until=START + 20 * DAY, history_length=LENGTH, frequent_length=4)
ROWS = [
    Row(0, 1, 1.0),
    Row(0, 2, 1.0),
    Row(0, 3, 5.0, VIEW),
    Row(0, 2, 5.01),
    Row(0, 1, 11.0),
    Row(1, 3, 2.0),
    Row(1, 1, 4.0, CART),
    Row(1, 4, 9.0),
    Row(1, 2, 30.0),
]
SHOP = dataset_of(ROWS, items=4, validation_day=12.0, test_day=20.0)


def state(users: list[int], length: int = LENGTH, frequent: int = 4) -> dict[str, np.ndarray]:
    return SHOP.states(CONTEXT.until, np.array(users), length, frequent)


def nobody(length: int = LENGTH, frequent: int = 4) -> dict[str, np.ndarray]:
    widths = {Input.FREQUENT_ITEMS: frequent, Input.FREQUENT_COUNTS: frequent}
    return {
        name: np.zeros((1, widths.get(name, length)), dtype) for name, dtype in INPUT_DTYPES.items()
    }


def fitted(recommender):
    model = as_model(recommender, LENGTH, 4)
    recommender.fit(SHOP, CONTEXT)
    return model


def test_popularity_is_the_share_of_recent_sales():
    # Purchases before day 20: items 1 (twice), 2 (twice), 3, 4; the one of day 30 is the future's.
    share = np.array([2, 2, 1, 1]) / 6 + 0.3 / 4
    scores = score(fitted(Popularity(4)), state([0, 1]))
    assert scores[:, 1:] == pytest.approx(np.log(np.tile(share / share.sum(), (2, 1))), abs=1e-5)
    assert (scores[:, 0] <= -1e9).all()


def test_repeat_ranks_by_the_shoppers_own_frequency():
    # Shopper 0 bought 1 and 2 twice each; item 3 was only viewed.
    scores = score(fitted(Repeat(4)), state([0]))[0]
    assert scores[1] == pytest.approx(scores[2])
    assert scores[1] == pytest.approx(math.log(0.5), abs=1e-2)
    assert scores[3] < math.log(0.01)


def test_products_equal_sums_written_out():
    settings = InterestSettings(decay_sessions=2.0, view=0.25, cart=0.5)
    gram, cross = products(SHOP, CONTEXT, settings)
    keep = math.exp(-1 / 2)
    # Before each session with a past: (interest, what the session held), items 1..4.
    steps = [
        (np.array([1, 1, 0, 0]), np.array([0, 1, 0.25, 0])),  # shopper 0, day 5
        (np.array([keep, keep + 1, 0.25, 0]), np.array([1, 0, 0, 0])),  # shopper 0, day 11
        (np.array([0, 0, 1, 0]), np.array([0.5, 0, 0, 0])),  # shopper 1, day 4
        (np.array([0.5, 0, keep, 0]), np.array([0, 0, 0, 1])),  # shopper 1, day 9
    ]
    assert gram == pytest.approx(sum(np.outer(x, x) for x, _ in steps), abs=1e-6)
    assert cross == pytest.approx(sum(np.outer(x, y) for x, y in steps), abs=1e-6)


def test_linear_equals_a_direct_ridge_solution():
    settings = LinearSettings(ridge=0.5, decay_sessions=2.0)
    linear = Linear(4, settings)
    model = fitted(linear)
    gram, cross = products(SHOP, CONTEXT, settings)
    ridge = 0.5 * np.mean(np.diag(gram)) * np.eye(4)
    weights = np.linalg.solve(gram.astype(np.float64) + ridge, cross.astype(np.float64))
    # Shopper 0 at day 20, newest session last: day 11 (rank 0), day 5 (1), day 1 (2).
    interest = np.array([1 + math.exp(-1), math.exp(-1) + math.exp(-0.5), 0.1 * math.exp(-0.5), 0])
    raw = (
        np.maximum(interest @ weights, 0)
        + 0.01 * np.exp(score(fitted(Popularity(4)), nobody()))[0, 1:]
    )
    assert score(model, state([0]))[0, 1:] == pytest.approx(np.log(raw / raw.sum()), abs=1e-4)


def test_ridge_solution_survives_an_item_without_events():
    gram = np.zeros((3, 3), np.float32, order="F")
    assert np.isfinite(ridge_solution(gram, np.ones((3, 3), np.float32, order="F"), 1.0)).all()


def test_covisit_is_the_cosine_of_sessions():
    model = fitted(Covisit(4))
    weight, column = (
        np.asarray(value) for value in (model.layers[-1].weight, model.layers[-1].column)
    )
    dense = np.zeros((5, 5))
    np.add.at(dense, (np.arange(5)[:, None], column), weight)
    # Session by session: {1, 2}, {3 viewed 0.1, 2}, {1}, {3}, {1 carted 0.5}, {4}.
    norm = {1: math.sqrt(1 + 1 + 0.25), 2: math.sqrt(2), 3: math.sqrt(0.01 + 1), 4: 1.0}
    assert dense[1, 2] == pytest.approx(1 / (norm[1] * norm[2]))
    assert dense[2, 3] == pytest.approx(0.1 / (norm[2] * norm[3]))
    assert np.diag(dense).tolist() == [0.0] * 5
    assert dense[4].tolist() == [0.0] * 5


def test_sparse_weights_equal_dense_ones_where_all_are_kept():
    random = np.random.default_rng(1)
    weight = random.normal(size=(5, 5)).astype(np.float32)
    dense, none = largest_weights([weight[:2], weight[2:]], 5, 6)
    kept, column = largest_weights([weight[:2], weight[2:]], 5, 5)
    assert none is None
    assert np.array_equal(np.take_along_axis(dense, column, axis=1)[1:], kept[1:])


def test_a_budget_keeps_the_largest_weights():
    weight = np.array([[0.1, -3.0, 2.0], [5.0, 0.0, 1.0], [0.0, 0.2, -0.1]], np.float32)
    kept, column = largest_weights([weight], 3, 2)
    assert kept[1:].tolist() == [[-3.0, 2.0], [5.0, 1.0], pytest.approx([0.2, -0.1])]
    assert column[1:].tolist() == [[2, 3], [1, 3], [2, 3]]


def test_the_sparse_graph_equals_the_dense_graph():
    shop = tasteful_shop(users=60)
    context = FitContext(until=shop.start_of("test"), history_length=20, frequent_length=5)

    class AllSparse(LinearSettings):
        def kept_per_row(self, items: int) -> int:
            return items

    answers = []
    for settings in (LinearSettings(ridge=1.0), AllSparse(ridge=1.0)):
        linear = Linear(60, settings)
        model = as_model(linear, 20, 5)
        linear.fit(shop, context)
        answers.append(score(model, shop.states(context.until, length=20, frequent=5)))
        assert (linear.column is None) == (type(settings) is LinearSettings)
    assert answers[0] == pytest.approx(answers[1], abs=1e-4)


def test_linear_gives_equal_weights_every_time():
    weights = []
    for _ in range(2):
        linear = Linear(4, LinearSettings(ridge=1.0))
        fitted(linear)
        weights.append(np.asarray(linear.weight))
    assert np.array_equal(*weights)


@pytest.mark.parametrize("kind", [Popularity, Repeat, Covisit, Linear])
def test_nothing_after_the_cut_is_learned(kind):
    changed = [row if row.day < 20 else Row(1, 4, 40.0) for row in ROWS]
    other = dataset_of(changed, items=4, validation_day=12.0, test_day=20.0)
    answers = []
    for dataset in (SHOP, other):
        recommender = kind(4)
        model = as_model(recommender, LENGTH, 4)
        recommender.fit(dataset, CONTEXT)
        answers.append(score(model, state([0, 1])))
    assert np.array_equal(*answers)


def test_the_blend_is_a_weighted_geometric_mean():
    parts = [Popularity(4, name="a"), Repeat(4, name="b")]
    models = [fitted(part) for part in parts]
    blend = Blend(4, parts)
    model = as_model(blend, LENGTH, 4)
    blend.shares.assign([0.25, 0.75])
    first, second = (np.exp(score(one, state([0, 1]))[:, 1:]) for one in models)
    mixed = first**0.25 * second**0.75
    expected = np.log(mixed / mixed.sum(axis=1, keepdims=True))
    scores = score(model, state([0, 1]))
    assert scores[:, 1:] == pytest.approx(expected, abs=1e-4)
    assert (scores[:, 0] < -0.99e9).all()
    assert blend.read_inputs() == (Input.FREQUENT_ITEMS, Input.FREQUENT_COUNTS)


def test_shares_are_never_worse_than_the_best_part():
    random = np.random.default_rng(3)
    wanted = Targets(
        np.arange(40), np.arange(41), random.integers(1, 21, 40).astype(np.int32), np.zeros(40)
    )
    good = random.normal(size=(40, 21)).astype(np.float32)
    good[np.arange(40), wanted.items] += 3.0
    shares = best_shares([random.normal(size=(40, 21)), good, good[::-1]], wanted)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.argmax() == 1


def test_a_blend_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        Blend(4, [])


@pytest.mark.parametrize("name", ["popularity", "repeat", "covisit", "linear", "blend"])
def test_files_keep_every_score_and_strangers_get_finite_ones(name, trained, tmp_path):
    model = {**trained.ladder, "blend": trained.model}[name]
    save(model, tmp_path / "a.keras")
    again = load(tmp_path / "a.keras")
    inputs = tasteful_shop().states(START + 80 * DAY, length=50, frequent=50)
    assert np.array_equal(score(model, inputs), score(again, inputs))
    stranger = score(again, nobody(50, 50))
    assert np.isfinite(stranger).all()
    popularity = score(trained.ladder["popularity"], nobody(50, 50))
    assert recommend(again, nobody(50, 50))[0, 0] == np.argmax(popularity[0])


@pytest.fixture(scope="module")
def trained():
    return train(tasteful_shop(), TrainSettings(parts=("popularity", "repeat", "linear")))


def test_linear_beats_covisit_beats_popularity(trained):
    shop = tasteful_shop()
    window = Window.of(shop, "test", FitContext(until=shop.start_of("test")))
    reached = {name: window.ndcg(model) for name, model in trained.ladder.items()}
    assert reached["linear"] > reached["covisit"] > reached["popularity"]


def test_the_record_tells_what_the_contract_asks(trained):
    record = trained.record
    assert record["trained_until"] == tasteful_shop().meta["test_start"]
    assert set(record["ladder"]) == {"popularity", "repeat", "covisit", "linear"}
    assert (
        record["validation"]["ndcg_at_10"]
        >= record["ladder"]["linear"]["validation"]["ndcg_at_10"] - 1e-6
    )
    assert {"seconds", "cpu_seconds", "peak_memory_mb", "seed", "settings"} <= set(record)


@pytest.mark.parametrize(
    ("name", "parts", "expected"),
    [
        ("popularity", (), ("popularity",)),
        ("linear", ("repeat",), ("popularity", "repeat", "covisit", "linear")),
        ("blend", ("linear",), ("popularity", "repeat", "covisit", "linear", "blend")),
    ],
)
def test_the_rungs_below_are_fitted_too(name, parts, expected):
    assert rungs_to_fit(TrainSettings(name=name, parts=parts)) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such.module:Model", "no module 'no_such'"),
        ("model.rungs.popularity:Nothing", "no 'Nothing'"),
        ("model.rungs.popularity:PopularitySettings", "no subclass"),
    ],
)
def test_a_name_that_is_no_model_is_said(name, words):
    with pytest.raises(ValueError, match=words):
        class_named(name)


def test_type_weights_follow_the_schema():
    weights = InterestSettings(purchase=0.7).type_weights()
    assert weights[EVENT_TYPE_INDEX[PURCHASE]] == pytest.approx(0.7)
    assert weights[0] == 0.0


@pytest.mark.parametrize("window", ["validation", "test"])
def test_a_window_in_which_nobody_bought_is_refused_by_name(window):
    first, last = {"validation": (12.0, 20.0), "test": (20.0, 99.0)}[window]
    rows = [row for row in ROWS if not first <= row.day < last] + [Row(0, 1, first + 1, VIEW)]
    other = Row(1, 2, {"validation": 25.0, "test": 15.0}[window])
    shop = dataset_of([*rows, other], items=4, validation_day=12.0, test_day=20.0)
    with pytest.raises(DataError, match=f"bought anything in the {window} window"):
        train(shop, TrainSettings(name="popularity"))


def test_a_fit_of_linear_holds_two_square_matrices_and_little_more(monkeypatch):
    items = 1_500
    monkeypatch.setattr("model.rungs.linear.COLUMNS_AT_ONCE", items // 10)  # as at 20,000 items
    rng = np.random.default_rng(3)
    rows = [
        Row(user, int(item), float(day))
        for user in range(300)
        for day in range(0, 12, 3)
        for item in rng.integers(1, items + 1, 4)
    ]
    shop = dataset_of(rows, items=items, validation_day=12.0, test_day=20.0)
    linear = Linear(items, LinearSettings(ridge=1.0, megabytes=1))
    as_model(linear, LENGTH, 4)
    tracemalloc.start()
    linear.fit(shop, CONTEXT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    square = 4 * items**2
    assert 2 * square < peak < 3 * square  # at 20,000 items less than 5 GB
