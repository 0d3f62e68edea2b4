"""The main job, end to end, through the command line: one shop lives through its first releases.

The tests of this file tell one story in their order; each builds on the state before it.
"""

import json
import os
import signal
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.pipeline import BESIDE, STAGES
from ci.workspace import remove
from tests.shop import SMALL, Shop, open_shop

POPULAR = SMALL.replace("seed = 7", "seed = 8").replace('"linear"', '"popularity"')
# Stages in the order in which `run` starts them.
KILLED_AT = [stage.name for stage in STAGES if stage.name not in BESIDE]
# Stands before everything else on the path: whoever imports these fails by name.
FORBID = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "mlflow"}:
            raise ImportError(f"{name} was imported by a run that had nothing to do")
sys.meta_path.insert(0, Forbidden())
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop that has made its first release."""
    shop = open_shop(tmp_path_factory.mktemp("story"), "story")
    yield shop
    shop.stop()


@pytest.fixture(scope="module")
def first_run(shop) -> str:
    return shop.ci("run")


def test_the_first_run_releases_and_answers(shop, first_run):
    assert "PROMOTE" in first_run
    assert "40,000 rows = " in first_run
    answer = shop.recommend()
    assert answer["model_version"] == shop.artifact("bundle.json")["model_version"]
    assert len(answer["items"]) == 10
    assert (shop.build / "report.html").exists()
    assert str(shop.build / "report.html") in first_run


def test_the_planted_bots_are_found(shop, first_run):
    bots = shop.artifact("data.json")["bots"]
    assert bots["planted"] == 5
    assert bots["precision"] >= 0.9
    assert bots["recall"] >= 0.9


def test_a_second_run_has_nothing_to_do_and_says_so(shop, first_run, tmp_path):
    """It reuses every result without TensorFlow or MLflow, and asks the endpoint itself."""
    (tmp_path / "sitecustomize.py").write_text(FORBID)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[1])])
    printed = shop.ci("run", environment={"PYTHONPATH": path})
    for stage in ("prepare", "train", "export"):
        assert f"{stage:<9} reused" in printed
    assert "already live" in printed


def test_a_changed_gate_re_runs_the_judgement_only(shop, first_run):
    printed = shop.ci("--set", "gate.margin=0.2", "run")
    assert "train     reused" in printed


def test_a_worse_challenger_is_held_and_the_live_one_stays(shop, first_run):
    live = shop.recommend()["model_version"]
    printed = shop.ci("--set", "model.name=popularity", "run", expect=10)
    assert "HOLD" in printed
    assert shop.artifact("gate.json")["decision"] == "HOLD"
    assert shop.recommend()["model_version"] == live
    assert "HOLD" in (shop.build / "report.html").read_text("utf-8")


def test_held_again_without_work(shop, first_run):
    printed = shop.ci("--set", "model.name=popularity", "run", expect=10)
    assert "gate      reused" in printed


def test_rollback_returns_to_the_former_release_without_build_or_registry(shop, first_run):
    before = shop.recommend()["model_version"]
    shop.ci("--set", "model.history_length=10", "--set", "gate.margin=0.5", "run")
    after = shop.recommend()["model_version"]
    assert after > before
    hidden = shop.state / "mlflow.db"
    hidden.rename(hidden.with_suffix(".away"))
    try:
        shop.ci("rollback")
    finally:
        hidden.with_suffix(".away").rename(hidden)
    assert shop.recommend()["model_version"] == before
    assert "withdrawn" in shop.ci("history")
    assert str(before) in shop.ci("status")


def test_one_late_row_is_seen(shop, first_run):
    with sqlite3.connect(shop.state / "shop.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(events)")]
        row = dict(
            zip(columns, database.execute("SELECT * FROM events LIMIT 1").fetchone(), strict=True)
        )
        row["event_id"] = "late-1"
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        database.execute(f"INSERT INTO events ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608
    printed = shop.ci("prepare")
    assert "reused" not in printed
    assert "outside" in printed


@pytest.fixture(scope="module")
def other(shop, first_run):
    """Another shop in the same clone, which has released too."""
    other = open_shop(shop.folder, "other", POPULAR)
    yield other
    other.stop()


def test_another_shop_in_the_same_clone_does_not_disturb_this_one(shop, other):
    live = shop.recommend()
    other.ci("run")
    assert other.recommend()["model_version"] == 1
    assert shop.recommend() == live


def test_what_a_removed_state_folder_held_is_made_and_registered_again(other):
    other.stop()
    remove(other.state)
    printed = other.ci("run")
    assert "train     reused" in printed
    assert "results were altered or lost" in printed
    assert other.recommend()["model_version"] == 1


@contextmanager
def writable(folder: Path):
    """A folder of a placed release that may be changed for a while."""
    folder.chmod(0o755)
    yield
    folder.chmod(0o555)


def test_a_lost_baseline_stops_the_run_and_what_serves_goes_on(shop, first_run):
    live = shop.recommend()
    released = (shop.state / "environments/local").glob(f"releases/*/*/{live['model_version']}")
    (bundle,) = released
    away = bundle.with_name("away")
    with writable(bundle.parent):
        bundle.rename(away)
        gone = shop.ci("run", expect=4)
        away.rename(bundle)
    assert "The baseline is lost" in gone
    assert f"{bundle} is gone" in gone
    assert shop.recommend() == live
    with writable(bundle):
        (bundle / "stray").touch()
        altered = shop.ci("run", expect=4)
        (bundle / "stray").unlink()
    assert f"{bundle} was altered: its digest is sha256:" in altered
    assert shop.recommend() == live
    assert "already live" in shop.ci("--set", "gate.margin=0.5", "run")


def kill_at(shop: Shop, stage: str, *changes: str) -> None:
    """Kill a run without warning as soon as it has begun a stage."""
    process = shop.start(*changes, "run")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"{stage} ") and "reused" not in line:
            break
    else:
        pytest.fail(f"the run never began {stage}")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()


def test_a_run_killed_at_any_stage_takes_nothing_from_shoppers_and_the_next_heals_it(tmp_path):
    shop = open_shop(tmp_path, "killed")
    changes = [
        *("--set", "data.session_gap_minutes=20", "--set", "model.history_length=10"),
        *("--set", "gate.margin=0.5"),
    ]
    try:
        shop.ci("run")
        old = shop.recommend()
        for stage in KILLED_AT:
            kill_at(shop, stage, *changes)
            # Killed in `deploy`, the supervisor may have the whole release already, or none of it.
            assert shop.recommend() == old or stage in {"deploy", "report"}
        new = shop.artifact("bundle.json")["model_version"]
        assert new > old["model_version"]
        assert shop.recommend()["model_version"] == new  # `report` begins when it serves
        printed = shop.ci(*changes, "run")
        assert "train     reused" in printed
        assert "already live" in printed
        assert (shop.build / "report.html").exists()
        leftovers = [path.name for path in shop.build.rglob(".*-*") if path.is_dir()]
        assert json.dumps(leftovers) == "[]"
    finally:
        shop.stop()
