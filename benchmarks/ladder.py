"""The ladder on real data: every rung's NDCG@10 with its interval, and what its fit cost.

    python -m benchmarks.ladder --data ../shared/data --cpu-seconds 600 --only ml1m beauty

Each data set's rows replace its former ones in `results/ladder.json` and in the page's table; data
that is not there is skipped with a line that says so. Online Retail is judged as a shop is (first
basket in the window, all items, seen ones kept), by the shipped example's settings through the
pipeline's own `prepare`; ML-1M and Beauty as papers do (leave-one-out, items of the history left
out of the ranking).
"""

import argparse
import gzip
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from ci.config import PROJECT, load_config
from ci.pipeline import TRAINING_SETTINGS
from ci.stages import prepare
from ci.workspace import Workspace
from model.data.dataset import Dataset
from model.rungs import metrics
from model.rungs.linear import Linear, LinearSettings
from model.rungs.recommender import FitContext, as_model, best_items, recommend, score
from model.rungs.training import TrainSettings, train
from model.rungs.validation import Window
from model.schema import EVENT_TYPE_INDEX, PURCHASE

DAY = 86_400
TEST_START = 1_700_000_000
ROWS_AT_ONCE = 256
RESULTS = Path(__file__).parent / "results" / "ladder.json"
README = Path(__file__).parent / "README.md"
HEAD = "| data | shoppers | model | NDCG@10 [95 %] | HR@10 | CPU-seconds |"
TABLE = re.compile(rf"^{re.escape(HEAD)}\n(\|.*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One data set, how it is loaded and trained on.

    Attributes:
        name: As printed.
        file: In the data folder.
        load: From that file's path to a dataset.
        settings: Of the training; the CPU budget is the caller's.
        filtered: Whether items of the history are left out of the ranking.
    """

    name: str
    file: str
    load: Callable[[Path], Dataset]
    settings: TrainSettings
    filtered: bool = False


EXAMPLE = PROJECT / "docs/examples/online_retail.toml"


def online_retail(test_start: str) -> Callable[[Path], Dataset]:
    """The shipped example with a window of 30 days from `test_start`."""

    def load(path: Path) -> Dataset:
        as_of = pd.Timestamp(test_start) + pd.Timedelta(days=30)
        changes = {"data.source": str(path), "data.as_of": f'"{as_of:%Y-%m-%dT%H:%M:%SZ}"'}
        config = load_config(EXAMPLE, changes)
        with tempfile.TemporaryDirectory() as folder:
            prepare.run(config, Workspace(Path(folder), Path(folder)))
            return Dataset.load(Path(folder) / "dataset")

    return load


def leave_one_out(path: Path) -> Dataset:
    """One line a user, items in time order: the last is the test, the one before validation."""
    with gzip.open(path, "rt") as file:
        lines = [np.array(line.split(), np.int64) for line in file]
    if "beauty" in path.name:
        lines = [line[1:] for line in lines]  # a line begins with the user's id
    size = np.array([len(line) for line in lines])
    item = np.concatenate(lines)
    user = np.repeat(np.arange(len(lines)), size)
    place = np.arange(len(item)) - np.repeat(np.cumsum(size) - size, size)
    # A day apart, so that each event is a session; the last falls on the start of the test.
    time = TEST_START - (np.repeat(size, size) - 1 - place) * DAY
    split = np.where(time < TEST_START - DAY, 0, np.where(time < TEST_START, 1, 2))
    counts = np.bincount(item[split < 2], minlength=item.max() + 1)[1:]
    ids = [f"{index:06}" for index in range(1, len(counts) + 1)]
    one = np.ones(len(item), np.float32)
    return Dataset(
        user_index=user.astype(np.int32),
        item_index=item.astype(np.int32),
        outside_index=np.zeros(len(item), np.int32),
        event_type=np.full(len(item), EVENT_TYPE_INDEX[PURCHASE], np.int8),
        timestamp=time,
        session=place.astype(np.int32),
        split=split.astype(np.int8),
        quantity=one,
        price=one,
        item_table=pd.DataFrame({"item_id": ids, "train_count": counts}),
        user_table=pd.DataFrame({"user_id": [str(index) for index in range(len(lines))]}),
        meta={
            "digest": path.name,
            "features": [],
            "target": "purchase",
            "validation_start": _iso(TEST_START - DAY),
            "test_start": _iso(TEST_START),
        },
    )


def _iso(seconds: int) -> str:
    return pd.Timestamp(seconds, unit="s", tz="UTC").isoformat()


SHOP = TrainSettings(**load_config(EXAMPLE).model.model_dump(include={*TRAINING_SETTINGS}))
PAPER = TrainSettings(parts=("linear", "transformer"), batch_size=32)
ROWS = {
    "retail-october": Row(
        "Online Retail, T = 2011-10-10", "online_retail.parquet", online_retail("2011-10-10"), SHOP
    ),
    "retail-november": Row(
        "Online Retail, T = 2011-11-09", "online_retail.parquet", online_retail("2011-11-09"), SHOP
    ),
    "ml1m": Row(
        "ML-1M", "ml1m_sequences.txt.gz", leave_one_out, replace(PAPER, history_length=200), True
    ),
    "beauty": Row(
        "Amazon Beauty",
        "beauty_sequences.txt.gz",
        leave_one_out,
        replace(PAPER, history_length=24, num_blocks=1, batch_size=128, dropout_rate=0.3),
        True,
    ),
}


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        data: Name of the data set.
        shoppers: How many were judged.
        model: The rung, or a budget of `linear`.
        ndcg_at_10: Mean over the shoppers.
        half_width: Of its 95 % interval by the normal approximation.
        hit_rate_at_10: Mean over the shoppers.
        cpu_seconds: What the fits cost; None where they were counted before.
    """

    data: str
    shoppers: int
    model: str
    ndcg_at_10: float
    half_width: float
    hit_rate_at_10: float
    cpu_seconds: float | None = None

    def __str__(self) -> str:
        lower, upper = self.ndcg_at_10 - self.half_width, self.ndcg_at_10 + self.half_width
        ndcg = f"{self.ndcg_at_10:.4f} [{lower:.4f}, {upper:.4f}]"
        cost = "" if self.cpu_seconds is None else f"{self.cpu_seconds:.0f}"
        figures = f"{self.shoppers:,} | {self.model} | {ndcg} | {self.hit_rate_at_10:.4f} | {cost}"
        return f"| {self.data} | {figures} |"


@dataclass(frozen=True)
class Judge:
    """The shoppers of one data set's test window.

    Attributes:
        row: The data set.
        dataset: Its events.
        window: States and targets.
    """

    row: Row
    dataset: Dataset
    window: Window

    def result(self, name: str, model: keras.Model, cost: float | None = None) -> Result:
        """One line of the table."""
        top, wanted = self._lists(model), self.window.targets
        ndcg, hits = metrics.ndcg(top, wanted), metrics.hit_rate(top, wanted)
        half = 1.96 * ndcg.std(ddof=1) / np.sqrt(len(ndcg))
        means = float(ndcg.mean()), float(half), float(hits.mean())
        return Result(self.row.name, len(top), name, *means, cost)

    def _lists(self, model: keras.Model) -> np.ndarray:
        """The ten best items of each shopper. int32[n, 10]."""
        if not self.row.filtered:
            return recommend(model, self.window.inputs, batch_size=32)
        pieces, users = [], self.window.targets.user_index
        for first in range(0, len(users), ROWS_AT_ONCE):
            last = first + ROWS_AT_ONCE
            inputs = {name: array[first:last] for name, array in self.window.inputs.items()}
            scores = score(model, inputs, batch_size=32)
            for place, user in enumerate(users[first:last]):
                scores[place, self._seen(user)] = -np.inf
            pieces.append(best_items(scores, 10))
        return np.concatenate(pieces)

    def _seen(self, user: int) -> np.ndarray:
        mine = slice(self.dataset.offsets[user], self.dataset.offsets[user + 1])
        return self.dataset.item_index[mine][self.dataset.split[mine] < 2]


def measure(row: Row, dataset: Dataset, cpu_seconds: int) -> Iterator[Result]:
    """Train the ladder and yield one result a rung, then those of the budgets."""
    settings = replace(row.settings, cpu_seconds=cpu_seconds)
    trained = train(dataset, settings)
    context = FitContext(
        until=dataset.start_of("test"),
        history_length=settings.history_length,
        frequent_length=settings.frequent_length,
    )
    judge = Judge(row, dataset, Window.of(dataset, "test", context))
    for name, told in trained.record["ladder"].items():
        yield judge.result(name, trained.ladder[name], told["cpu_seconds"])
    yield judge.result("blend", trained.model, trained.record["cpu_seconds"])
    chosen = trained.record["ladder"]["linear"]["final_notes"]
    for share in (1.0, 0.5, 0.25):
        megabytes = settings.linear_megabytes * share
        linear = Linear(dataset.items, LinearSettings(megabytes=megabytes, **chosen))
        model = as_model(linear, settings.history_length, settings.frequent_length)
        linear.fit(dataset, context)
        yield judge.result(f"linear in {megabytes:.0f} MB", model)


def keep(results: list[Result]) -> None:
    """Put a data set's results in the place of its former ones."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    others = [one for one in known if one["data"] != results[0].data]
    text = json.dumps([*others, *map(asdict, results)], indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    page = README.read_text("utf-8")
    README.write_text(TABLE.sub(lambda _: table(), page), encoding="utf-8")


def table() -> str:
    """All that is known, as the page has it: data sets in the order of `ROWS`."""
    known = [Result(**one) for one in json.loads(RESULTS.read_text("utf-8"))]
    order = [row.name for row in ROWS.values()]
    lines = map(str, sorted(known, key=lambda one: order.index(one.data)))
    return "\n".join([HEAD, "|---|---:|---|---|---:|---:|", *lines, ""])


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cpu-seconds", type=int, default=600)
    parser.add_argument("--only", choices=sorted(ROWS), nargs="*", default=list(ROWS))
    arguments = parser.parse_args()
    print(HEAD)
    for key in arguments.only:
        row = ROWS[key]
        path = arguments.data / row.file
        if not path.exists():
            print(f"| {row.name} | skipped: {path} is not there | | | | |", flush=True)
            continue
        results = []
        for result in measure(row, row.load(path.resolve()), arguments.cpu_seconds):
            print(result, flush=True)
            results.append(result)
        keep(results)


if __name__ == "__main__":
    main()
