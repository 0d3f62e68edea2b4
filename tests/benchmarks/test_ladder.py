"""The page tells what was measured, of every data set that the ladder knows."""

import json

from benchmarks.ladder import README, RESULTS, ROWS, table


def test_the_pages_table_is_the_recorded_one():
    assert table() in README.read_text("utf-8")


def test_every_data_set_and_rung_is_recorded_with_its_cost():
    known = json.loads(RESULTS.read_text("utf-8"))
    for row in ROWS.values():
        costs = {one["model"]: one["cpu_seconds"] for one in known if one["data"] == row.name}
        assert {"linear", "transformer", "blend", "linear in 16 MB"} <= set(costs), row.name
        assert costs["linear"] is not None
        assert costs["blend"] > costs["transformer"]
