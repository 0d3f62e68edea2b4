"""The examples of real shops go through the whole pipeline, to a served answer."""

from pathlib import Path

import pytest

from ci.config import PROJECT
from tests.services import NOT_RUN_HERE
from tests.shop import Shop

# The whole data lies beside the project where it may not be shipped with it.
SHARED = PROJECT.parent / "shared" / "data"
# The closed-form parts of the default model: seconds instead of minutes.
CHEAP = ("--set", 'model.parts=["popularity", "repeat", "linear"]')


class Example(Shop):
    """A shipped example, with build and state folders of its own."""

    @property
    def config(self) -> Path:
        return PROJECT / "docs/examples" / f"{self.name}.toml"

    def command(self, *arguments: str) -> list[str]:
        place = (f"storage.build={self.folder}/build", f"storage.state={self.folder}/var")
        overrides = [word for setting in place for word in ("--set", setting)]
        return super().command(*overrides, "--set", "serving.engine=litert", *arguments)


WHOLE = {
    "online_retail": {"source": "online_retail.parquet"},
    "grocery": {
        "source": "journey_transactions.parquet",
        "catalogue": "journey_products.parquet",
    },
}
SMALLER = ("--set", "data.min_item_events=10")  # 1,500 items instead of 9,000: minutes saved


@pytest.fixture
def example(tmp_path):
    """Opens an example by its name; what it served ends with the test."""
    opened = []

    def open_example(name: str) -> Example:
        opened.append(Example(tmp_path, name))
        return opened[0]

    yield open_example
    for shop in opened:
        shop.stop()


def whole(name: str) -> list[str]:
    """The settings that name the whole data instead of the sample; a skip where it is not."""
    paths = {key: SHARED / file for key, file in WHOLE[name].items()}
    if absent := [str(path) for path in paths.values() if not path.exists()]:
        pytest.skip(f"{NOT_RUN_HERE} the whole data of an example is not at {', '.join(absent)}")
    return [word for key, path in paths.items() for word in ("--set", f"data.{key}={path}")]


def is_served_with_titles(shop: Shop) -> bool:
    """Whether a shopper of the log is answered with ten items that have titles."""
    answer = shop.recommend(shop.artifact("../deployment.json")["example"]["user_id"])
    return len(answer["items"]) == 10 and all(item["title"] for item in answer["items"])


@pytest.mark.parametrize("name", WHOLE)
def test_the_sample_of_a_real_shop_is_released_and_answers_with_titles(name, example):
    shop = example(name)
    assert "PROMOTE" in shop.ci(*CHEAP, "run")
    assert is_served_with_titles(shop)


def test_the_whole_year_of_groceries_is_released_and_answers_with_titles(example):
    words, shop = whole("grocery"), example("grocery")
    assert "PROMOTE" in shop.ci(*words, *CHEAP, *SMALLER, "run")
    assert is_served_with_titles(shop)


# The last day of a window of 30, and what the shipped default is promised to reach in it.
@pytest.mark.parametrize(("as_of", "reached"), [("2011-11-09", 0.285), ("2011-12-09", 0.309)])
def test_the_default_model_is_as_good_on_the_whole_gift_shop_as_promised(as_of, reached, example):
    words, shop = whole("online_retail"), example("online_retail")
    assert "PROMOTE" in shop.ci(*words, "--set", f"data.as_of={as_of}", "run")
    assert shop.artifact("data.json")["accounting"]["quarantined"] > 0
    assert shop.artifact("training.json")["model"] == "blend"
    judged = shop.artifact("evaluation.json")["models"]["challenger"]
    assert judged["metrics"]["ndcg_at_10"]["value"] >= reached
    assert is_served_with_titles(shop)


def test_the_textbooks_five_items_are_served(example):
    shop = example("five_items")
    assert "PROMOTE" in shop.ci("run")
    assert shop.artifact("training.json")["model"] == "dnn"
    answer = shop.recommend("ann")
    assert sorted(item["item_id"] for item in answer["items"]) == list("ABCDE")
