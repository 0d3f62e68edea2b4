"""`bin/ci prepare` by its exit codes, messages and files; what is not there is not half there."""

import json
import os
import sqlite3
import time

import pyarrow.parquet as pq
import pytest

from ci.__main__ import main
from ci.config import PROJECT
from model.data.dataset import Dataset

DAYS = range(1, 31)
GOOD = ["user_id,item_id,event_type,timestamp"] + [
    f"u{user},i{(user + day) % 3},purchase,2026-03-{day:02}T10:00:00Z"
    for user in range(3)
    for day in DAYS
]


@pytest.fixture
def shop(tmp_path):
    """A folder with a configuration for `events.csv`; returns a function that runs `prepare`."""
    (tmp_path / "pipeline.toml").write_text(
        '[shop]\nname = "tea"\n[data]\nsource = "events.csv"\nmin_item_events = 1\nfeatures = []\n'
        f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n'
    )

    def prepare(*settings):
        flags = [part for setting in settings for part in ("--set", setting)]
        return main(["--config", str(tmp_path / "pipeline.toml"), *flags, "prepare"])

    return prepare


def write(folder, lines=GOOD):
    (folder / "events.csv").write_text("\n".join(lines) + "\n")


def artifacts(folder):
    """What lies in the task's folder, hidden scratch included, without the stage's own notes."""
    task = folder / "build" / "tea" / "next_item"
    return sorted(path.name for path in task.iterdir() if path.name != ".stages")


def test_the_balance_is_printed_and_written(shop, tmp_path, capsys):
    write(tmp_path, [*GOOD, ",i1,purchase,2026-03-01", "u1,,search,2026-03-01"])
    assert shop() == 0
    out = capsys.readouterr().out
    assert "92 rows = 90 kept + 1 quarantined + 0 duplicates + 1 filtered (search 1)" in out
    assert "3 users, 3 items" in out
    assert artifacts(tmp_path) == ["data.json", "dataset", "quarantine"]
    task = tmp_path / "build" / "tea" / "next_item"
    meta = json.loads((task / "data.json").read_text())
    assert meta == Dataset.load(task / "dataset").meta
    assert meta["accounting"]["reasons"] == {"user_id is missing": 1}
    quarantine = pq.read_table(task / "quarantine" / "rows.parquet").to_pylist()
    assert [row["item_id"] for row in quarantine] == ["i1"]


BAD_INPUT = {
    "missing column": (["user,item_id,event_type,timestamp", "u,i,view,2026-01-01"], "'user_id'"),
    "empty source": (GOOD[:1], "has no rows"),
    "all rows bad": ([GOOD[0], ",i,view,2026-01-01"], "1 of 1 rows"),
    "unknown words": ([*GOOD[:20], "u,i,gucken,2026-01-01"], "event_type is unknown"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_message_and_exit_3_and_nothing_is_left(shop, tmp_path, capsys, case):
    lines, says = BAD_INPUT[case]
    write(tmp_path, lines)
    assert shop("data.max_bad_share=0.01") == 3
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err + shown.out
    assert artifacts(tmp_path) == []


def test_no_file_no_parquet_and_another_encoding_are_exit_3(shop, tmp_path, capsys):
    assert shop() == 3
    assert "There is no file" in capsys.readouterr().err
    (tmp_path / "events.csv").write_bytes("\n".join(GOOD).replace("i1", "Käse").encode("latin-1"))
    assert shop() == 3
    assert "iconv" in capsys.readouterr().err
    (tmp_path / "events.parquet").write_text("no")
    assert shop(f"data.source={tmp_path}/events.parquet") == 3
    assert "cannot be read" in capsys.readouterr().err
    assert artifacts(tmp_path) == []


def test_a_failure_leaves_the_earlier_dataset_whole(shop, tmp_path, capsys):
    write(tmp_path)
    assert shop() == 0
    task = tmp_path / "build" / "tea" / "next_item"
    before = {path: path.read_bytes() for path in task.rglob("*.parquet")}
    write(tmp_path, [*GOOD, *[",i1,purchase,2026-03-01"] * 50])
    assert shop() == 3
    assert {path: path.read_bytes() for path in task.rglob("*.parquet")} == before
    assert artifacts(tmp_path) == ["data.json", "dataset", "quarantine"]


def test_a_server_that_is_not_there_is_exit_4(shop, tmp_path, capsys):
    assert shop("data.source=postgresql://ann@127.0.0.1:1/shop") == 4
    assert "127.0.0.1:1/shop" in capsys.readouterr().err
    assert artifacts(tmp_path) == []


def test_a_wrong_password_is_exit_4_and_not_shown(shop, tmp_path, capsys, postgresql):
    (tmp_path / "secret").write_text("geheim\n")
    for engine in ("duckdb", "postgresql"):
        assert (
            shop(
                f"data.source={postgresql.url}",
                'data.password_file="secret"',
                f"data.engine={engine}",
            )
            == 4
        )
        shown = capsys.readouterr()
        assert "authentication failed" in shown.err
        assert "geheim" not in shown.err + shown.out


def test_a_literal_password_is_exit_2_and_not_shown(shop, capsys):
    # pragma: allowlist nextline secret
    assert shop("data.source=postgresql://ann:geheim@127.0.0.1/shop") == 2
    shown = capsys.readouterr()
    assert "literal password" in shown.err
    assert "geheim" not in shown.err + shown.out


def test_a_reference_that_leads_nowhere_is_exit_2(shop, capsys):
    source = "data.source=postgresql://ann@127.0.0.1:1/shop"
    assert shop(source, "data.password_env=NO_SUCH_VARIABLE") == 2
    assert "NO_SUCH_VARIABLE" in capsys.readouterr().err


def test_the_postgresql_engine_needs_a_postgresql_source(shop, tmp_path, capsys):
    write(tmp_path)
    assert shop("data.engine=postgresql") == 2
    assert 'set engine = "duckdb"' in capsys.readouterr().err


def test_both_engines_write_the_same_dataset(shop, tmp_path, postgresql):
    columns = "user_id text, item_id text, event_type text, timestamp timestamptz"
    values = ", ".join(f"('{line.replace(',', chr(39) + ',' + chr(39))}')" for line in GOOD[1:])
    postgresql.run_sql(
        f"CREATE TABLE tea ({columns}); INSERT INTO tea VALUES {values};"  # noqa: S608
    )
    (tmp_path / "secret").write_text(postgresql.password)
    digests = []
    for engine in ("duckdb", "postgresql"):
        setting = f"data.source={postgresql.url}?table=tea"
        assert shop(setting, 'data.password_file="secret"', f"data.engine={engine}") == 0
        digests.append(
            json.loads((tmp_path / "build/tea/next_item/data.json").read_text())["digest"]
        )
    postgresql.run_sql("DROP TABLE tea;")
    assert digests[0] == digests[1]


def test_an_unchanged_source_is_reused_a_touched_one_too_and_a_late_row_is_seen(
    shop, tmp_path, capsys
):
    write(tmp_path)
    assert shop() == 0
    assert shop() == 0
    assert "reused" in capsys.readouterr().out
    os.utime(tmp_path / "events.csv", (time.time() - 500,) * 2)
    assert shop() == 0
    assert "reused" in capsys.readouterr().out
    write(tmp_path, [*GOOD, "u1,i1,purchase,2026-03-02T09:00:00Z"])
    assert shop() == 0
    out = capsys.readouterr().out
    assert "outside events" in out
    assert "91 rows" in out


def test_a_row_in_the_write_ahead_log_of_sqlite_is_seen(shop, tmp_path, capsys):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE events (user_id, item_id, event_type, timestamp)")
        rows = [line.split(",") for line in GOOD[1:]]
        database.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        database.commit()
        source = "data.source=sqlite:///shop.db"
        assert shop(source) == 0
        capsys.readouterr()
        database.execute("INSERT INTO events VALUES ('u1', 'i1', 'view', '2026-03-03')")
        database.commit()
        assert shop(source) == 0
    database.close()
    assert "91 rows = 91 kept" in capsys.readouterr().out


@pytest.mark.parametrize("example", ["online_retail", "grocery"])
def test_the_examples_of_real_shops_are_prepared_as_shipped(tmp_path, capsys, example):
    config = str(PROJECT / f"docs/examples/{example}.toml")
    storage = ["--set", f"storage.build={tmp_path}/build", "--set", f"storage.state={tmp_path}/var"]
    assert main(["--config", config, *storage, "prepare"]) == 0
    out = capsys.readouterr().out
    expected = {
        "online_retail": "126,770 rows = 94,429 kept + 483 quarantined + 0 duplicates + 31,858 "
        "filtered (rare user or item 769, unknown user 31,089); 953 users, 2,689 items",
        "grocery": "29,379 rows = 22,550 kept + 178 quarantined + 0 duplicates + 6,651 filtered "
        "(rare user or item 6,651); 935 users, 4,196 items",
    }
    assert expected[example] in out
    dataset = Dataset.load(tmp_path / "build" / example / "next_item" / "dataset")
    assert dataset.item_table["title"].notna().mean() > 0.99
    assert len(dataset.targets("test").user_index) > 300


def test_the_documentation_shows_what_the_sample_really_prints(tmp_path, capsys):
    config = PROJECT / "docs/examples/online_retail.toml"
    storage = ["--set", f"storage.build={tmp_path}/build", "--set", f"storage.state={tmp_path}/var"]
    shown = (PROJECT / "docs/data.md").read_text(encoding="utf-8")
    assert main(["--config", str(config), *storage, "prepare"]) == 0
    printed = capsys.readouterr().out.splitlines()[-1].strip().rpartition("  [")[0]
    assert printed in shown
    strict = ["--set", "data.max_bad_share=0.001"]
    assert main(["--config", str(config), *storage, *strict, "prepare"]) == 3
    assert capsys.readouterr().err.strip() in shown


def test_only_known_shoppers_are_judged_in_online_retail(tmp_path):
    config = str(PROJECT / "docs/examples/online_retail.toml")
    storage = ["--set", f"storage.build={tmp_path}/build", "--set", f"storage.state={tmp_path}/var"]
    assert main(["--config", config, *storage, "prepare"]) == 0
    dataset = Dataset.load(tmp_path / "build/online_retail/next_item/dataset")
    judged = dataset.targets("test").user_index
    assert (dataset.user_table["train_events"].to_numpy()[judged] > 0).all()


def test_five_lines_make_five_items(tmp_path, capsys):
    config = str(PROJECT / "docs/examples/five_items.toml")
    storage = ["--set", f"storage.build={tmp_path}/build", "--set", f"storage.state={tmp_path}/var"]
    assert main(["--config", config, *storage, "prepare"]) == 0
    assert "10 rows = 10 kept" in capsys.readouterr().out
    dataset = Dataset.load(tmp_path / "build/five_items/next_item/dataset")
    assert sorted(dataset.item_ids) == list("ABCDE")
    for window, wanted in (("validation", ["D", "E"]), ("test", ["A", "E"])):
        items = dataset.targets(window).items
        assert [dataset.item_ids[item - 1] for item in items] == wanted


def test_simulate_writes_a_shop_that_prepare_reads(shop, tmp_path, capsys):
    small = (
        "simulator.shoppers=60",
        "simulator.items=40",
        "simulator.events=2000",
        "simulator.bots=1",
    )
    flags = [part for setting in small for part in ("--set", setting)]
    config = ["--config", str(tmp_path / "pipeline.toml"), *flags]
    target = f"sqlite:///{tmp_path}/made.db"
    assert main([*config, "simulate", "--to", target]) == 0
    assert shop(f"data.source={target}", "data.test_days=14") == 0
    assert "1 planted bots: precision 1.00, recall 1.00" in capsys.readouterr().out


def test_the_default_shop_is_made_once_and_again_when_its_settings_change(shop, tmp_path, capsys):
    small = ("data.source=simulator", "simulator.shoppers=60", "simulator.items=40")
    small += ("simulator.bots=1", "data.test_days=14")
    assert shop(*small, "simulator.events=2000") == 0
    made = (tmp_path / "var/tea/shop.db").stat().st_mtime_ns
    assert shop(*small, "simulator.events=2000", "data.min_item_events=2") == 0
    assert (tmp_path / "var/tea/shop.db").stat().st_mtime_ns == made
    assert "oracle NDCG@10" in capsys.readouterr().out
    assert shop(*small, "simulator.events=2100") == 0
    assert (tmp_path / "var/tea/shop.db").stat().st_mtime_ns != made
