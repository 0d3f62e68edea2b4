"""The README tells the truth: its commands run, its output is theirs, its table is ours."""

import json
import re

import pytest

from ci.config import PROJECT
from ci.pipeline import STAGES
from tests.shop import open_shop

README = (PROJECT / "README.md").read_text(encoding="utf-8")
RUN = re.search(r"^\$ bin/ci run\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shape(line: str) -> str:
    """A line without what differs from run to run: figures, digests, paths, names of items."""
    line = re.sub(r"^ {10}\d\. .*", "an item", line)
    line = re.sub(r"(?:/[\w.-]+)+(?=/build/|/var/)", "", line)
    line = re.sub(r"sha256:[0-9a-f]+|\bu\d+\b", "…", line)
    line = re.sub(r"\d+ min \d+ s|[\d.]+ (?:s|ms)\b", "a while", line)
    return re.sub(r"-?\d[\d,.]*", "#", line).rstrip()


def by_stage(text: str) -> list[str]:
    """The shapes of the lines, without the installation before them and the order of rungs."""
    lines = [shape(line) for line in text.splitlines()]
    lines = lines[next(n for n, line in enumerate(lines) if line.startswith("simulate")) :]
    return [" ".join(sorted(line.split())) if "oracle" in line else line for line in lines]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    # Defaults alone: what the template's pipeline.toml shows, whatever a shop has made of it.
    shop = open_shop(tmp_path_factory.mktemp("readme"), "demo", settings="")
    yield shop
    shop.stop()


@pytest.fixture(scope="module")
def printed(shop) -> str:
    return shop.ci("run")


def test_the_shown_run_is_what_the_command_prints(printed):
    assert RUN is not None
    assert by_stage(RUN.group(1)) == by_stage(printed)


def test_the_default_shop_is_promoted_with_its_bots_found(printed):
    assert "verdict   PROMOTE" in printed
    assert "20 planted bots: precision 1.00, recall 1.00" in printed


def test_the_answer_shown_on_the_start_page_has_the_fields_of_a_real_one(shop, printed):
    page = (PROJECT / "docs" / "start.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r'^\{"user_id":"nobody".*', page, re.MULTILINE)
    assert list(json.loads(shown)) == list(shop.recommend("nobody"))


def test_the_table_of_stages_is_the_pipelines():
    rows = re.findall(r"^\| `bin/ci (\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    assert [row[0] for row in rows] == [stage.name for stage in STAGES]
    for (_, summary, reads, writes), stage in zip(rows, STAGES, strict=True):
        assert summary == stage.summary
        assert re.findall(r"`(.+?)`", reads) == list(stage.reads)
        assert re.findall(r"`(.+?)`", writes) == list(stage.writes)


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []
