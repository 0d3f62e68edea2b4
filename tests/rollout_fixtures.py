"""Bundles made once a session, and shops whose releases start as real processes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rollout_shop import Shop, open_shop, unused_port
from tests.serving import bundles
from tests.serving.bundles import Bundle


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Two bundles of different weights, to be copied and never changed."""
    folder = tmp_path_factory.mktemp("bundles")
    return bundles.build((folder / "first", 1), (folder / "second", 2))


@pytest.fixture(scope="session")
def released_model(built: list[Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with its card, to be copied and never changed."""
    folder = tmp_path_factory.mktemp("released") / "bundle"
    shutil.copytree(built[0].folder, folder)
    return write_card(Bundle(folder))


def write_card(bundle: Bundle) -> Path:
    """Give a bundle a card whose golden answers are worked out in NumPy, apart from any engine."""
    requests = [bundles.empty_row(), *(bundles.random_row(seed) for seed in range(4))]
    answers = [bundle.expected(request) for request in requests]
    card = {
        "top_k": bundles.TOP,
        "history_length": bundles.LENGTH,
        "frequent_length": bundles.FREQUENT,
        "commit": "c0ffee",
        "data_digest": "sha256:0",
        "batch_sizes": [1, 8],
        "tolerance": {"litert": 1e-3, "savedmodel": 1e-4},
        "golden": {
            "requests": requests,
            "answers": [{key: one[key] for key in ("item_ids", "scores")} for one in answers],
        },
    }
    (bundle.folder / "card.json").write_text(json.dumps(card))
    return bundle.folder


@pytest.fixture
def shop(tmp_path: Path, released_model: Path) -> Iterator[Shop]:
    """A shop without any release; whatever runs for it is ended."""
    opened = open_shop(tmp_path / "shop", released_model, unused_port())
    yield opened
    opened.end()


@pytest.fixture(scope="module")
def live_shop(tmp_path_factory: pytest.TempPathFactory, released_model: Path) -> Iterator[Shop]:
    """A shop with release 1 live, for tests that only ask."""
    opened = open_shop(tmp_path_factory.mktemp("live") / "shop", released_model, unused_port())
    opened.deploy(1)
    yield opened
    opened.end()


@pytest.fixture(scope="module")
def live_story(tmp_path_factory: pytest.TempPathFactory, released_model: Path) -> Iterator[Shop]:
    """A shop without any release for tests that tell one story in their order."""
    opened = open_shop(tmp_path_factory.mktemp("story") / "shop", released_model, unused_port())
    yield opened
    opened.end()
