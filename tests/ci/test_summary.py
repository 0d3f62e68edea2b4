"""The last lines of a run."""

from ci.summary import summarise
from ci.workspace import Workspace


def lines(folder, released):
    workspace = Workspace(folder, folder / "next_item")
    items = [{"item_id": f"i{n}", "score": -n, "title": f"茶 {n}"} for n in range(9)]
    example = {"user_id": "u1", "model_version": 3, "items": items}
    workspace.write_json(
        "../deployment.json",
        {"url": "http://127.0.0.1:8500", "digest": "sha256:a", "example": example},
    )
    workspace.write_json("gate.json", {"decision": "PROMOTE"})
    return summarise(workspace, released)


def test_it_shows_one_shopper_how_to_ask_and_the_verdict(tmp_path):
    assert lines(tmp_path, released=True) == [
        "shopper   u1 is recommended, by model version 3:",
        "          1. i0 茶 0",
        "          2. i1 茶 1",
        "          3. i2 茶 2",
        "          4. i3 茶 3",
        "          5. i4 茶 4",
        "try it    curl -s http://127.0.0.1:8500/v1/users/u1/recommendations",
        "verdict   PROMOTE for model version 3",
    ]


def test_what_was_live_already_is_not_called_promoted(tmp_path):
    assert lines(tmp_path, released=False)[-1] == (
        "verdict   model version 3 was live already; nothing to promote"
    )
