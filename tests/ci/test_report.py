"""The report from whatever the stages left: every verdict, every gap, nothing stale."""

import re
from html.parser import HTMLParser

import pytest

from ci import reuse
from ci.config import Config
from ci.errors import BadDataError
from ci.pipeline import STAGE
from ci.settings import Settings
from ci.stages.report import run
from ci.workspace import Workspace
from tests.ci.report_samples import evaluation, gate, write_everything

VOID = {"meta", "link", "br", "wbr"}


class Outline(HTMLParser):
    """Collects the text of a page and proves that its elements nest."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag in {"td", "th"}:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, _, attrs):
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture
def config(tmp_path):
    return Config(Settings(), tmp_path / "pipeline.toml")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "demo", tmp_path / "demo/next_item")


def report(config, workspace):
    run(config, workspace)
    html = workspace.path("../report.html").read_text("utf-8")
    return Outline(html), workspace.path("../report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("decision", "why", "do"),
    [
        ("PROMOTE", "0.0042 [0.0009, 0.0076]", "`bin/ci deploy`"),
        (
            "HOLD",
            "“Not worse than live” blocks with −0.0181 [−0.0225, −0.0137]",
            "live model stays",
        ),
        ("INCONCLUSIVE", "“Not worse than live” is undecided", "data.test_days = 28"),
    ],
)
def test_the_verdict_comes_first_with_its_figures_and_what_to_do(
    config, workspace, decision, why, do
):
    write_everything(workspace, config, decision)
    page, comment = report(config, workspace)
    assert page.text.index(decision) < 80
    assert comment.startswith(f"## {decision} · demo")
    for text in (page.text, comment.replace("\u00a0", " ")):
        assert why in text
        assert "challenger: version 12" in text
    assert ("Served worse: new user: yes." in comment) == (decision == "HOLD")
    assert do in comment
    assert do.strip("`") in page.text


def test_every_section_is_filled_from_a_finished_pipeline(config, workspace):
    write_everything(workspace, config, "HOLD")
    text = report(config, workspace)[0].text
    assert "Nothing to show" not in text
    for figure in (
        "0.2898 [0.2827, 0.2969]",  # challenger's metric
        "best reachable",  # the oracle
        "margin −0.00924",  # 3 % of 0.3079
        "new user: yes −0.0510 [−0.0710, −0.0310], n = 431",  # the harmed slice
        "Too few to judge: category: cups",
        "600,000 rows in = 533,761 kept + 889 quarantined + 1,204 duplicates + 64,146 filtered",
        "unknown event type 812",
        "31.5 MB",
        "1.028 [0.991, 1.061]",
        "1 min 14 s",  # seconds of train
        "blend 0.3090 1 min 06 s repeat 0.2402 50 ms",  # what was fitted, best first
        "66.2 CPU-seconds, 1,410 MB of memory at most, 5,230 examples a second, seed 7",
        "20, found with precision 0.95, recall 1.00",  # the planted bots
        "sha256:0123456789abcdef",
        "Oolong & mint <fresh>",  # a title, escaped
        "3. pot-03 new to this shopper",  # an item without a title
        "not reached: the verdict of gate",
    ):
        assert figure in text.replace("\u00a0", " "), figure


def test_an_empty_workspace_gets_a_report_that_says_what_did_not_run(config, workspace):
    page, comment = report(config, workspace)
    assert "No verdict yet No stage has run yet." in page.text
    assert "Run `bin/ci run`" in comment
    assert page.text.count("did not run") == 8
    assert comment.count("did not run") == 8


@pytest.mark.parametrize(
    "name", ["data.json", "training.json", "bundle.json", "bundle/12/card.json", "evaluation.json",
             "gate.json", "dataset/meta.json", "dataset/items.parquet"]
)  # fmt: skip
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "list"])
def test_no_single_artifact_can_break_it(config, workspace, name, damage):
    write_everything(workspace, config)
    path = workspace.path(name)
    if damage == "missing":
        path.unlink()
    else:
        path.write_text({"truncated": '{"half":', "empty": "{}", "list": "[1]"}[damage])
    page, _ = report(config, workspace)
    assert "Stages" in page.text
    if damage == "truncated":
        assert f"Unreadable {name}" in page.text


def test_a_failed_stage_stands_where_the_verdict_would_and_hides_what_came_after(config, workspace):
    write_everything(workspace, config)
    message = "3 of 10 rows break the contract.\nRaise [data] max_bad_share."
    reuse.remember_failure(STAGE["prepare"], BadDataError(message), workspace)
    page, comment = report(config, workspace)
    assert "Stopped at prepare 3 of 10 rows break the contract." in page.text
    assert comment.startswith("## Stopped at prepare · demo")
    assert "PROMOTE" not in page.text
    assert "0.3121" not in page.text  # figures of the run before would be taken for this one's
    assert page.text.count("not reached: prepare failed") == 7


def test_a_failed_rollout_keeps_the_verdict_and_says_what_failed(config, workspace):
    write_everything(workspace, config)
    reuse.remember_failure(STAGE["deploy"], BadDataError("2 of 5 goldens differ"), workspace)
    page, comment = report(config, workspace)
    assert comment.startswith("## PROMOTE")
    assert "deploy failed: 2 of 5 goldens differ" in comment
    assert "2 of 5 goldens differ" in page.text


def test_results_of_earlier_settings_or_inputs_are_not_shown(config, workspace):
    write_everything(workspace, config)
    changed = Config(Settings.model_validate({"model": {"seed": 8}}), config.path)
    page, _ = report(changed, workspace)
    assert "did not run again: [model.seed] has changed" in page.text
    assert "No verdict yet The pipeline came as far as prepare." in page.text
    workspace.write_json("dataset/meta.json", {"digest": "sha256:new"})
    key = {"reads": {}, "settings": {}}
    reuse.remember(STAGE["prepare"], key, workspace, reuse.Result("anew", 1.0))
    page, _ = report(config, workspace)
    assert "did not run again: prepare has a newer result" in page.text


def test_a_release_that_serves_needs_no_advice(config, workspace):
    write_everything(workspace, config)
    url = "http://127.0.0.1:8500"
    workspace.write_json("../deployment.json", {"environment": "local", "url": url})
    page, comment = report(config, workspace)
    assert f"serves local at {url}" in page.text
    assert "What to do" not in page.text + comment


def test_a_first_release_has_no_live_column_to_fill(config, workspace):
    write_everything(workspace, config)
    workspace.write_json("evaluation.json", evaluation(0.3121, None))
    workspace.write_json("gate.json", gate("PROMOTE", first_release=True))
    for name in ("evaluate", "gate"):
        key = {"reads": reuse.reads_of(STAGE[name], workspace), "settings": {}}
        reuse.remember(STAGE[name], key, workspace, reuse.Result("done", 1.0))
    page, comment = report(config, workspace)
    assert "no live model: a first release" in comment
    assert "No part was judged" in page.text
    assert "| NDCG@10 | 0.3121 [0.3050, 0.3192] | – |" in comment


def test_equal_artifacts_make_equal_reports(config, workspace):
    write_everything(workspace, config, "HOLD")
    run(config, workspace)
    names = ("../report.html", "../report.md", "../report.css")
    first = [workspace.path(name).read_bytes() for name in names]
    run(config, workspace)
    assert [workspace.path(name).read_bytes() for name in names] == first


def test_the_page_needs_nothing_but_its_stylesheet(config, workspace):
    write_everything(workspace, config)
    page, _ = report(config, workspace)
    names = {name for name, _ in page.attributes}
    assert not names & {"style", "src", "srcset", "xlink:href"}
    assert not [name for name in names if name.startswith("on")]
    assert [value for name, value in page.attributes if name == "href"] == ["report.css"]
    html = workspace.path("../report.html").read_text("utf-8")
    assert not re.search(r"<(script|style|iframe|object|img)\b", html)


def test_markdown_cells_cannot_be_escaped_from(config, workspace):
    write_everything(workspace, config)
    hostile = gate("HOLD")
    hostile["clauses"][0]["rule"] = "a | b\n<img src=x>"
    workspace.write_json("gate.json", hostile)
    _, comment = report(config, workspace)
    assert "A \\| b &lt;img src=x>" in comment
