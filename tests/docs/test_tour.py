"""The tour of `docs/notebooks`, executed from its first cell to its last in a small shop."""

import os
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import jupytext
import pytest
from PIL import Image

from ci.notebook import FOLDER, TOUR, execute

# A wide margin, because so few shoppers leave much to chance.
SMALL = {
    "SHOPPERS": 2_000,
    "ITEMS": 300,
    "EVENTS": 120_000,
    "CPU_SECONDS": 9,
    "MARGIN": 0.10,
}
PLOTS = [
    "What happens in the shop, by type of event",
    "The long tail",
    "Position bias: how often an item is clicked, with 95 % intervals",
    "Where every row went",
    "What is learned from, and what is judged on",
    "The transformer learns",
    "The ladder",
    "Who gains and who loses (without those who are served alike)",
    "What the mean difference might have been",
    "Power: how often an equally good challenger is promoted",
    "The interval closes in",
    "Parts of the shoppers, most harmed first",
    "Best-sellers against the blend",
]
LABELLED = re.compile(r"(?P<title>.+)\. Across: \S.*\. Up: \S.*\.")
NUMBERS = re.compile(r"-?\d+\.\d+")


def make_small(notebook):
    """Change the numbers of the tour's own cell of parameters."""
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    for name, value in SMALL.items():
        cell.source, found = re.subn(rf"(?m)^{name} = [\d_.]+", f"{name} = {value}", cell.source)
        assert found == 1, name


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    notebook = jupytext.read(TOUR)
    make_small(notebook)
    execute(notebook, tmp_path_factory.mktemp("tour"))  # raises where a cell fails
    return notebook


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook, part=""):
    """What the cells print that hold a piece of source; all of them where it is empty."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and part in cell.source]
    assert cells
    return "".join(
        output.text
        for cell in cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )


def test_every_cell_has_run_in_order_and_complains_of_nothing(tour):
    counts = [cell.execution_count for cell in tour.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output.output_type for output in outputs(tour)}
    assert kinds == {"stream", "display_data", "execute_result"}
    streams = [output for output in outputs(tour) if output.output_type == "stream"]
    assert [output.text for output in streams if output.name != "stdout"] == []


def test_every_plot_is_there_with_a_title_and_labelled_axes(tour):
    images = [output for output in outputs(tour) if "image/png" in output.get("data", {})]
    said = [LABELLED.fullmatch(image.metadata["image/png"]["alt"]) for image in images]
    assert [found and found["title"] for found in said] == PLOTS
    for image in images:
        picture = Image.open(BytesIO(b64decode(image.data["image/png"])))
        assert picture.width > picture.height > 200
        assert len(picture.convert("RGB").getcolors(picture.width * picture.height)) > 50


def test_the_blend_is_promoted_and_the_planted_model_is_held(tour):
    promoted = printed(tour, 'stage("gate", config)')
    assert re.search(r"PROMOTE: All \d+ rules hold\.", promoted)
    assert "exit code" not in promoted
    held = printed(tour, "stage(name, worse)")
    assert "HOLD: non_inferiority" in held
    assert held.rstrip().endswith("exit code 10")
    assert "HOLD: The rule “Not worse than live” blocks" in printed(tour, "worse.gate")


def test_what_is_drawn_is_what_the_gate_has_judged(tour):
    lines = printed(tour, 'stage("gate", config)').splitlines()
    (drawn,) = (line for line in lines if line.startswith("above:"))
    (judged,) = (line for line in lines if line.startswith("gate.json:"))
    assert NUMBERS.findall(drawn) == NUMBERS.findall(judged)
    assert len(NUMBERS.findall(drawn)) == 3


def test_the_planted_bots_are_found_and_every_engine_agrees(tour):
    assert "10 planted bots: precision 1.00, recall 1.00" in printed(tour)
    assert "parity 3 of 3" in printed(tour)


def test_nothing_is_left_behind(tour):
    (shop,) = set(re.findall(r"sqlite:///(/\S+pushcart-tour-\w+)/", printed(tour)))
    assert not Path(shop).exists()


@pytest.mark.parametrize("folder", [TOUR.parent, FOLDER], ids=["source", "copy"])
def test_the_links_lead_somewhere_from_the_source_and_from_the_copy(folder):
    text = "\n".join(cell.source for cell in jupytext.read(TOUR).cells)
    links = set(re.findall(r"\]\((?!https?:)([^)#]+)\)", text))
    assert len(links) > 5
    places = [Path(os.path.normpath(folder / link)) for link in links]  # the copy may not be there
    assert [place for place in places if not place.exists()] == []
