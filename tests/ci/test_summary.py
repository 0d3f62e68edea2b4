"""The last lines of a run."""

from ci.summary import summarise
from ci.workspace import Workspace


def released(folder, judged="sha256:a"):
    workspace = Workspace(folder, folder / "next_item")
    items = [{"item_id": f"i{n}", "score": -n, "title": f"茶 {n}"} for n in range(9)]
    example = {"user_id": "u1", "model_version": 3, "items": items}
    workspace.write_json(
        "../deployment.json",
        {"url": "http://127.0.0.1:8500", "digest": "sha256:a", "example": example},
    )
    verdict = {"decision": "PROMOTE", "challenger": {"digest": judged, "model_version": 3}}
    workspace.write_json("gate.json", verdict)
    return summarise(workspace)


def test_it_shows_one_shopper_how_to_ask_and_the_verdict(tmp_path):
    assert released(tmp_path) == [
        "shopper   u1 is recommended, by model version 3:",
        "          1. i0 茶 0",
        "          2. i1 茶 1",
        "          3. i2 茶 2",
        "          4. i3 茶 3",
        "          5. i4 茶 4",
        "try it    curl -s http://127.0.0.1:8500/v1/users/u1/recommendations",
        "verdict   PROMOTE for model version 3",
    ]


def test_a_verdict_about_another_bundle_is_not_shown(tmp_path):
    assert not [line for line in released(tmp_path, "sha256:b") if line.startswith("verdict")]
