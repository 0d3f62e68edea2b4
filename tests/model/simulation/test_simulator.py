"""The simulated shop: equal seeds, planted facts, and an oracle that nothing beats."""

import contextlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ci.config import PROJECT
from model.data.cleaning import Limits
from model.data.contract import Meaning
from model.data.dataset_files import meta_of, write_dataset
from model.data.engines import DuckDBEngine
from model.data.preparing import Preparation, prepare
from model.data.sources import Source
from model.schema import EVENT_TYPES, DataError
from model.simulation.shop_writer import write_shop
from model.simulation.simulated_oracle import Oracle
from model.simulation.simulated_world import DAY, ShopSize, make_world
from model.simulation.simulation import simulate
from model.simulation.simulator import BUY, CONTINUE, FIRST_STEP, LATER_STEP, Crowd, Minds, live
from model.simulation.truth import bot_cut, ndcg, oracle_score

SIZE = ShopSize(shoppers=1_500, items=200, events=90_000, bots=5, days=100)


@pytest.fixture(scope="module")
def shop():
    return simulate(SIZE, test_days=14)


@pytest.fixture(scope="module")
def source(shop, tmp_path_factory):
    found = Source(f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.db")
    write_shop(shop, found, (PROJECT / "infra/database/sqlite.sql").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def prepared(source):
    wanted = Preparation(source, Meaning(), Limits(500, 1, 5, 1800))
    with contextlib.closing(DuckDBEngine()) as engine:
        found = prepare(engine, wanted)
        bots = bot_cut(engine, source, found)
        oracle = oracle_score(engine, source, found, ("purchase", "all"))
    return found, bots, oracle


def test_equal_seeds_give_equal_shops(shop):
    again = simulate(SIZE, test_days=14)
    assert again.events.equals(shop.events)
    assert again.items.equals(shop.items)
    assert again.oracle.equals(shop.oracle)
    other = simulate(replace(SIZE, seed=8), test_days=14)
    assert not other.events.equals(shop.events)


def test_one_more_bot_does_not_change_what_shoppers_do(shop):
    more = simulate(replace(SIZE, bots=6), test_days=14)
    assert more.oracle.equals(shop.oracle)


def test_the_log_has_the_size_asked_for_and_every_event_type(shop):
    assert shop.events.num_rows == 90_000
    kinds = Counter(shop.events["event_type"].to_pylist())
    assert set(EVENT_TYPES) <= kinds.keys()
    assert kinds["purchase"] > 5_000


def test_higher_positions_are_clicked_more(shop):
    log = shop.events.select(["event_type", "position", "user_id"]).to_pandas()
    log = log[~log["user_id"].isin(shop.bots) & log["position"].notna()]
    counts = log.groupby(["position", "event_type"]).size().unstack()
    rates = (counts["click"] / counts["impression"]).tolist()
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 2.5 * rates[-1]


def test_titles_are_english_and_chinese(shop):
    chinese = shop.items["title"].str.contains(r"[\u4e00-\u9fff]")
    assert 0.4 < chinese.mean() < 0.6
    assert shop.items["item_id"].is_unique


def test_nothing_is_bought_before_it_is_launched(shop):
    launched = shop.items.set_index("item_id")["created_at"]
    log = shop.events.select(["item_id", "timestamp"]).to_pandas().dropna()
    assert (launched.loc[log["item_id"]].to_numpy() <= log["timestamp"].to_numpy()).all()
    assert (launched > launched.max() - np.timedelta64(SIZE.days * DAY, "s")).sum() > 5


def test_planted_dirt_is_found_and_planted_bots_are_cut(prepared, shop):
    found, bots, _ = prepared
    assert found.accounting.quarantined == int(90_000 * 0.0006)
    assert {
        "event_type is unknown",
        "user_id is missing",
        "price is negative",
        "query holds an e-mail address",
        "user_id is a phone number",
    } <= found.accounting.reasons.keys()
    assert found.accounting.duplicates == int(90_000 * 0.004)
    assert bots["planted"] == 5
    assert bots["precision"] >= 0.9
    assert bots["recall"] >= 0.9


def test_missed_and_wrongly_cut_bots_lower_recall_and_precision(prepared, source):
    found, _, _ = prepared
    with contextlib.closing(DuckDBEngine()) as engine:
        worse = replace(found, bots=[*found.bots[1:], "u000001", "u000002"])
        seen = bot_cut(engine, source, worse)
    assert seen == {"planted": 5, "cut": 6, "precision": 4 / 6, "recall": 4 / 5}


def scores(found, lists):
    """NDCG@10 of given lists on the first baskets of the test window, worked out apart."""
    rows = found.events["split"] == 2
    bought = rows & (found.events["event_type"] == 5)
    baskets = {}
    for user, session, item in zip(
        *(found.events[name][bought] for name in ("user_index", "session", "item_index")),
        strict=True,
    ):
        baskets.setdefault(int(user), (session, set()))
        if baskets[int(user)][0] == session:
            baskets[int(user)][1].add(int(item))
    return np.mean([ndcg(lists(user), list(wanted)) for user, (_, wanted) in baskets.items()])


def test_the_oracle_is_far_above_popularity_and_own_frequency(prepared):
    found, _, oracle = prepared
    early = (found.events["split"] < 2) & (found.events["event_type"] == 5)
    popular = list(range(1, 11))
    own = {}
    for user, item in zip(
        found.events["user_index"][early], found.events["item_index"][early], strict=True
    ):
        own.setdefault(int(user), Counter())[int(item)] += 1

    def repeat(user):
        mine = [item for item, _ in own.get(user, Counter()).most_common(10)]
        return (mine + [item for item in popular if item not in mine])[:10]

    by_popularity, by_repeat = scores(found, lambda _: popular), scores(found, repeat)
    assert oracle["users"] > 300
    assert oracle["ndcg_at_10"] > by_repeat + 0.02
    assert by_repeat > 2 * by_popularity


def test_the_oracles_expectation_is_what_happens_when_the_future_is_lived_many_times():
    """Monte Carlo: the same shopper lives her next sessions 20,000 times."""
    size = ShopSize(shoppers=50, items=40, events=4_000, days=60, bots=0)
    rng = np.random.default_rng(1)
    world = make_world(size, rng)
    world.launched[:] = size.start - 1
    at = size.end - 14 * DAY
    life = live(size, world, at, rng, lambda _: None)
    who = int(np.argmax(life.snapshot.count))
    expected = Oracle(size, world, life.snapshot, at).expected(np.array([who]))[0]
    lived = live_on(size, world, life.snapshot, who, at)
    best = np.argsort(-lived)[:6]
    assert expected[best] == pytest.approx(lived[best], rel=0.12, abs=0.004)
    ideal = lived[np.argsort(-lived)[:10]].sum()
    chosen = lived[np.argsort(-expected)[:10]].sum()
    assert chosen > 0.97 * ideal


def live_on(size, world, minds, who, at):
    """Mean purchases of each item in the first buying session of many copies of one shopper."""
    copies = 20_000
    many = Minds(*(np.repeat(getattr(minds, name)[who : who + 1], copies, axis=0)
                   for name in ("last", "bought_last", "purchases", "count")))  # fmt: skip
    crowd = Crowd(
        replace(size, shoppers=copies),
        replace(
            world,
            favourites=np.repeat(world.favourites[:, who : who + 1], copies, axis=1),
            favour=np.repeat(world.favour[:, who : who + 1], copies, axis=1),
            style=np.repeat(world.style[:, who : who + 1], copies, axis=1),
        ),
        np.random.default_rng(5),
        many,
    )
    basket = np.zeros(len(world.category))
    looking = np.arange(copies)
    for _ in range(40):  # sessions; nobody is still looking then
        alive, shares, bought_now = looking, FIRST_STEP, np.zeros(copies, bool)
        while len(alive):
            item, source = crowd.choose(alive, np.full(len(alive), at), shares)
            bought = crowd.rng.random(len(alive)) < np.array(BUY)[source]
            crowd._remember(alive, item, bought)
            np.add.at(basket, item[bought], 1 / copies)
            bought_now[alive[bought]] = True
            alive, shares = alive[crowd.rng.random(len(alive)) < CONTINUE], LATER_STEP
        looking = looking[~bought_now[looking]]
    return basket


def test_tastes_shift_on_the_day_asked_for():
    size = ShopSize(shoppers=400, items=800, events=30_000, days=100, bots=0)
    shifted = simulate(replace(size, taste_shift_day=50), test_days=14)
    assert overlap(shifted, 49, 51) < 0.6 * overlap(simulate(size, 14), 49, 51)


def overlap(shop, until, since):
    """How alike a shopper's categories are before and after: mean cosine."""
    category = shop.items.set_index("item_id")["category"]
    log = shop.events.filter(
        np.isin(shop.events["event_type"].to_numpy(zero_copy_only=False), ["view"])
    ).to_pandas()
    log["category"] = category.loc[log["item_id"]].to_numpy()
    day = (log["timestamp"] - log["timestamp"].min()).dt.days
    sides = [
        log[side].groupby(["user_id", "category"]).size().unstack(fill_value=0)
        for side in (day < until, day > since)
    ]
    both = sides[0].index.intersection(sides[1].index)
    before, after = (side.reindex(both, columns=category.unique(), fill_value=0) for side in sides)
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    return ((before.to_numpy() * after.to_numpy()).sum(axis=1) / norms).mean()


def test_a_real_shop_has_no_oracle(prepared, tmp_path):
    found, _, _ = prepared
    (tmp_path / "a.csv").write_text("x\n")
    with contextlib.closing(DuckDBEngine()) as engine:
        csv = Source(str(tmp_path / "a.csv"))
        assert oracle_score(engine, csv, found, ("purchase", "all")) is None
        assert bot_cut(engine, csv, found) is None


def test_an_oracle_of_another_moment_is_silent(prepared, source):
    found, _, _ = prepared
    moved = replace(
        found, moments=replace(found.moments, test_start=found.moments.test_start + 2 * DAY)
    )
    with contextlib.closing(DuckDBEngine()) as engine:
        assert oracle_score(engine, source, moved, ("purchase", "all")) is None
        assert oracle_score(engine, source, found, ("session", "all")) is None


def test_a_shop_may_be_a_parquet_file(shop, tmp_path):
    target = Source(str(tmp_path / "deep" / "log.parquet"))
    write_shop(shop, target, "")
    with contextlib.closing(DuckDBEngine()) as engine:
        assert "event_id" in engine.columns(target)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["log.parquet"]


def test_a_shop_cannot_be_written_to_nowhere(shop):
    with pytest.raises(DataError, match="no known kind"):
        write_shop(shop, Source("ftp://host/x"), "")


def test_what_is_known_of_the_simulation_is_in_the_meta(prepared, source, tmp_path):
    found, bots, oracle = prepared
    wanted = Preparation(source, Meaning(), Limits(500, 1, 5, 1800))
    meta = meta_of(found, wanted, "demo", "next_item", oracle=oracle, bots=bots)
    write_dataset(tmp_path, found, meta)
    assert meta["oracle"]["ndcg_at_10"] == oracle["ndcg_at_10"]
    assert meta["bots"]["recall"] >= 0.9
