"""Makes the whole simulated shop: event log, catalogue, planted bots, and the oracle's lists."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from model.simulation.simulated_catalogue import catalogue, item_ids, user_ids
from model.simulation.simulated_log import write_down
from model.simulation.simulated_oracle import Oracle
from model.simulation.simulated_world import DAY, ShopSize, make_world
from model.simulation.simulator import live

ORACLE_LENGTH = 10


@dataclass(frozen=True)
class SimulatedShop:
    """Everything about a simulated shop that is written down.

    Attributes:
        events: The log.
        items: The catalogue.
        bots: Ids of the planted bots: known to the simulator alone, kept apart from the log.
        oracle: `user_id`, `place` from 1, `item_id`, `oracle_at` (seconds UTC): what each
            shopper who buys anything after `oracle_at` most probably buys first.
    """

    events: pa.Table
    items: pd.DataFrame
    bots: list[str]
    oracle: pa.Table


def simulate(
    size: ShopSize, test_days: int, progress: Callable[[float], None] = lambda _: None
) -> SimulatedShop:
    """Simulate a shop; equal arguments give equal shops.

    Args:
        size: How large, how long, which seed.
        test_days: The oracle speaks so many days before the end of the log.
        progress: Called with the share done.
    """
    # Streams apart, so that one more bot does not change what the shoppers do.
    world_rng, life_rng, log_rng = (np.random.default_rng([size.seed, part]) for part in range(3))
    world = make_world(size, world_rng)
    at = size.end - test_days * DAY
    life = live(size, world, at, life_rng, progress)
    events, bots = write_down(size, world, life, log_rng)
    shopper, _, second, bought = life.steps
    buyers = np.unique(shopper[bought & (second >= at)])
    best = Oracle(size, world, life.snapshot, at).best(buyers, ORACLE_LENGTH)
    lists = _lists(buyers, best, size, at)
    return SimulatedShop(events, catalogue(world, log_rng), bots, lists)


def _lists(buyers: np.ndarray, best: np.ndarray, size: ShopSize, at: int) -> pa.Table:
    return pa.table(
        {
            "user_id": np.repeat(user_ids(size.shoppers)[buyers], ORACLE_LENGTH),
            "place": np.tile(np.arange(1, ORACLE_LENGTH + 1), len(buyers)),
            "item_id": item_ids(size.items)[best.ravel()],
            "oracle_at": np.full(best.size, at),
        }
    )
