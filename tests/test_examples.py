"""The examples of real shops go through the whole pipeline, to a served answer."""

from pathlib import Path

import pytest

from ci.config import PROJECT
from tests.shop import Shop

# The whole data lies beside the project where it may not be shipped with it.
SHARED = PROJECT.parent / "shared" / "data"
# The closed-form parts of the default model: seconds instead of minutes.
CHEAP = (
    *("--set", 'model.parts=["popularity", "repeat", "linear"]'),
    *("--set", "serving.engine=litert"),
)


class Example(Shop):
    """A shipped example, with build and state folders of its own."""

    @property
    def config(self) -> Path:
        return PROJECT / "docs/examples" / f"{self.name}.toml"

    def command(self, *arguments: str) -> list[str]:
        place = (f"storage.build={self.folder}/build", f"storage.state={self.folder}/var")
        overrides = [word for setting in place for word in ("--set", setting)]
        return super().command(*overrides, *CHEAP, *arguments)


def whole(**files: str) -> tuple[str, ...]:
    """The settings that name the whole data instead of the sample, where it is at hand."""
    paths = {key: SHARED / file for key, file in files.items()}
    if not all(path.exists() for path in paths.values()):
        return ()
    return tuple(word for key, path in paths.items() for word in ("--set", f"data.{key}={path}"))


@pytest.mark.parametrize(
    ("name", "files", "settings"),
    [
        ("online_retail", {"source": "online_retail.parquet"}, ()),
        (
            "grocery",
            {"source": "journey_transactions.parquet", "catalogue": "journey_products.parquet"},
            ("--set", "data.min_item_events=10"),  # 1,500 items instead of 9,000: minutes saved
        ),
    ],
)
def test_a_real_shop_is_released_and_answers_with_titles(name, files, settings, tmp_path):
    shop = Example(tmp_path, name)
    try:
        printed = shop.ci(*whole(**files), *settings, "run")
        assert "PROMOTE" in printed
        accounting = shop.artifact("data.json")["accounting"]
        assert accounting["quarantined"] > 0 or name == "grocery"
        answer = shop.recommend(shop.artifact("../deployment.json")["example"]["user_id"])
        assert len(answer["items"]) == 10
        assert all(item["title"] for item in answer["items"])
    finally:
        shop.stop()
