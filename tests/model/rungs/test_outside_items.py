"""Items that appear only after the cut keep their ids, so that an older release gets its hits."""

import pytest

from ci.__main__ import main
from model.data.dataset import Dataset

DAY = 86_400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four weeks of tea; `new` and `newer` are first bought in the last, test week."""
    folder = tmp_path_factory.mktemp("outside")
    rows = ["user_id,item_id,event_type,timestamp"]
    rows += [
        f"u{user},{item},purchase,2026-03-{day:02}T10:00:00Z"
        for user in range(3)
        for day in range(1, 29)
        for item in ["tea", *(["new"] if day > 22 else []), *(["newer"] if day == 28 else [])]
    ]
    (folder / "events.csv").write_text("\n".join(rows) + "\n")
    path = folder / "pipeline.toml"
    path.write_text(
        f'[shop]\nname = "tea"\n[data]\nsource = "{folder}/events.csv"\nfeatures = []\n'
        "test_days = 7\nvalidation_days = 7\nmin_item_events = 1\n"
        f'[storage]\nbuild = "{folder}/build"\nstate = "{folder}/var"\n'
    )
    assert main(["--config", str(path), "prepare"]) == 0
    return Dataset.load(folder / "build" / "tea" / "next_item" / "dataset")


def test_outside_items_are_named_by_their_number(dataset):
    assert dataset.item_ids == ["tea"]
    outside = dataset.outside_index > 0
    assert set(dataset.outside_ids) == {"new", "newer"}
    counts = {
        dataset.outside_ids[number - 1]: int((dataset.outside_index == number).sum())
        for number in (1, 2)
    }
    assert counts == {"new": 18, "newer": 3}
    assert (dataset.split[outside] == 2).all()
