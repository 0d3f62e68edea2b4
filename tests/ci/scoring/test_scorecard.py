"""The scorecard counts what is proved and nothing else."""

import datetime as dt
import json
import re
import shutil
from xml.etree import ElementTree as Xml

import pytest

from ci.__main__ import main
from ci.config import PROJECT
from ci.pipeline import STAGE
from ci.reuse import Result, remember
from ci.scoring.evidence import Evidence
from ci.scoring.ml_test_score import SECTIONS, TESTS, band_of
from ci.scoring.mlops_levels import LEVELS
from ci.scoring.point import Point
from ci.scoring.scorecard import Scorecard, Scored, score, scorecard
from ci.stages.check import RECORD
from ci.workspace import Workspace

POINTS = [point for table in (TESTS, LEVELS) for points in table.values() for point in points]
PROOFS = sorted({proof for point in POINTS for proof in point.proof})


@pytest.fixture
def evidence(tmp_path):
    """A copy of the tests, with reports that say that all which prove something have passed."""
    shutil.copytree(PROJECT / "tests", tmp_path / "tests")
    workspace = Workspace(tmp_path / "build/shop", tmp_path / "build/shop/next_item")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    suite = Xml.Element("testsuite", timestamp=later.isoformat())
    checks = []
    for proof in PROOFS:
        kind, _, name = proof.partition(":")
        if kind == "stage":
            remember(STAGE[name], {}, workspace, Result("done", 0.1))
        elif kind == "check":
            checks.append({"name": name, "state": "clean"})
        else:
            file, _, name = proof.partition("::")
            module = file.removesuffix(".py").replace("/", ".")
            Xml.SubElement(suite, "testcase", classname=module, name=name)
    workspace.write_json(RECORD, {"checks": checks})
    report = tmp_path / "report.xml"
    Xml.ElementTree(suite).write(report)
    return lambda: Evidence(tmp_path, workspace, (report,))


def test_there_are_the_28_tests_of_the_paper():
    assert [*TESTS] == [*SECTIONS] == ["data", "model", "infra", "monitor"]
    for section, points in TESTS.items():
        assert [point.name for point in points] == [f"{section}-{n}" for n in range(1, 8)]


@pytest.mark.parametrize("proof", PROOFS)
def test_what_proves_a_point_exists(proof, tmp_path):
    seen = Evidence(PROJECT, Workspace(tmp_path, tmp_path), ()).of(proof)
    assert "there is no such" not in seen.why


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_is_whole_or_says_what_is_missing(point):
    whole = bool(point.proof) and point.worth == 1
    assert whole or point.missing
    assert not (whole and point.missing)


def test_all_that_can_be_proved_today(evidence):
    card = scorecard(evidence())
    assert card.sections == {"data": 3, "model": 2.5, "infra": 6, "monitor": 2}
    assert (card.score, card.level) == (2, 1)
    page = (PROJECT / "docs/scorecard.md").read_text("utf-8")
    assert (
        f'"sections": {json.dumps({name: float(n) for name, n in card.sections.items()})}' in page
    )
    assert f'"means": "{band_of(card.score)}"' in page
    assert "data 3, model 2.5, infra 6 and monitor 2" in page


@pytest.mark.parametrize(
    ("proof", "section"),
    [
        ("tests/model/test_history.py::test_state_by_hand", "data"),
        ("tests/ci/judging/test_judge.py::test_a_simpler_rung_that_does_better_holds", "model"),
        ("tests/ci/rollout/test_targets.py::test_a_rollback_loses_nothing", "infra"),
        ("tests/ci/test_gate_cli.py::test_a_slowed_bundle_is_held", "monitor"),
    ],
)
def test_deleting_a_mapped_test_lowers_the_score(evidence, tmp_path, proof, section):
    before = scorecard(evidence())
    file, _, name = proof.partition("::")
    path = tmp_path / file
    text, deleted = re.subn(rf"^def {name}\(.*?(?=^\S|\Z)", "", path.read_text(), flags=re.M | re.S)
    assert deleted == 1
    path.write_text(text)
    after = scorecard(evidence())
    lost = {name: before.sections[name] - after.sections[name] for name in SECTIONS}
    assert lost == {name: float(name == section) for name in SECTIONS}
    assert any("there is no such test" in one.why for one in after.tests[section])


def test_without_reports_nothing_is_proved(tmp_path):
    card = scorecard(Evidence(PROJECT, Workspace(tmp_path, tmp_path), ()))
    assert (card.score, card.level) == (0, 0)
    assert not any(card.sections.values())


def test_half_a_point_for_what_people_do(evidence):
    proof = ("tests/model/test_history.py::test_state_by_hand",)
    assert score(Point("x", "asked", proof, "a machine", worth=0.5), evidence()) == Scored(
        Point("x", "asked", proof, "a machine", worth=0.5), 0.5, "missing: a machine"
    )


def test_the_weakest_section_decides():
    def points(*scores):
        return [Scored(Point("x", "asked"), one, "") for one in scores]

    sections = {"data": points(1, 1), "model": points(0.5, 1, 1), "infra": points(1, 0.5)}
    assert Scorecard(sections, {}).score == 1.5


@pytest.mark.parametrize(
    ("first", "second", "level"), [((1, 1), (1,), 2), ((1, 1), (0,), 1), ((1, 0), (1,), 0)]
)
def test_a_level_stands_on_the_one_below(first, second, level):
    def points(scores):
        return [Scored(Point("x", "asked"), one, "") for one in scores]

    assert Scorecard({}, {1: points(first), 2: points(second)}).level == level


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "research project"), (0.5, "holes"), (1, "holes"), (2, "first pass"), (2.5, "reasonably"),
     (5, "mission-critical"), (5.5, "exceptional")],
)  # fmt: skip
def test_the_bands_of_the_paper(number, words):
    assert words in band_of(number)


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    settings = tmp_path / "pipeline.toml"
    settings.write_text(f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n')
    assert main(["--config", str(settings), "scorecard", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert [*card["sections"]] == ["data", "model", "infra", "monitor"]
    assert [one["id"] for one in card["tests"]][:2] == ["data-1", "data-2"]
    assert card["score"] == min(card["sections"].values())
    assert main(["--config", str(settings), "scorecard"]) == 0
    printed = capsys.readouterr().out
    assert f"ML Test Score {card['score']:g}, that of the weakest section" in printed
    assert all(point.name in printed for point in POINTS)
    assert "missing: `bin/ci explain`" in printed
