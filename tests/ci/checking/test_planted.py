"""Each check finds the defect that is planted for it, by file, line and rule, and nothing else."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ci.__main__ import main
from ci.checking.check import Scene, listed, matching
from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, load_config

TABLE = {check.name: check for check in CHECKS}
PASSWORD = 'password = "hunter2again"'  # pragma: allowlist secret
PLAY = """---
- name: Greet
  hosts: all
  tasks:
    - name: Greet
      ansible.builtin.debug:
        msg: hello
"""
# check: (file, good content, planted content, line, rule)
PLANTED = {
    "ruff": ("ci/a.py", '"""A."""\n', '"""A."""\nimport os\n', 2, "F401"),
    "format": ("ci/a.py", '"""A."""\n\nX = 1\n', '"""A."""\n\nX  =  1\n', 3, "format"),
    "yaml": ("a.yaml", "a: 1\n", "a: 1\na: 2\n", 2, "key-duplicates"),
    "docker": ("x/Dockerfile", "FROM a:1\nUSER 1\n", "FROM a\nUSER 1\n", 1, "DL3006"),
    "shell": ("bin/ci", '#!/bin/sh\necho "$1"\n', "#!/bin/sh\necho $1\n", 2, "SC2086"),
    "groovy": ("Jenkinsfile", "pipeline { }\n", "pipeline {\n  a (\n}\n", 3, "syntax"),
    "ansible": (
        "infra/ansible/a.yml",
        PLAY,
        PLAY.replace("name: Greet\n      a", "a"),
        5,
        "name[missing]",
    ),
    "secrets": ("docs/a.md", "a\n", f"a\n{PASSWORD}\n", 2, "Secret Keyword"),
    "types": ("ci/a.py", '"""A."""\n', '"""A."""\n\nX: int = "a"\n', 3, "assignment"),
}


@pytest.fixture
def look(tmp_path):
    """Returns a function that lets one check look at a folder of one file."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    shutil.copy(PROJECT / ".yamllint", tmp_path)
    for room in ("ci", "serving"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text('"""A room."""\n')
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.lock").write_text("packaging==1.0\n")

    def look(name, known=None):
        check, config = TABLE[name], load_config(PROJECT / "pipeline.toml")
        (result,) = run_checks([check], config, tmp_path, tmp_path / "reports", known or {})
        return result

    return look


def plant(folder: Path, file: str, content: str) -> None:
    (folder / file).parent.mkdir(exist_ok=True, parents=True)
    (folder / file).write_text(content)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found_where_it_is(look, tmp_path, name, request):
    if TABLE[name].service:
        from tests.services import require_service

        require_service(TABLE[name].service)
    file, good, bad, line, rule = PLANTED[name]
    plant(tmp_path, file, good)
    clean = look(name)
    assert (clean.state, clean.findings) == ("clean", ())
    plant(tmp_path, file, bad)
    found = look(name, {name: clean.key})
    assert [(one.file, one.line, one.rule) for one in found.findings] == [(file, line, rule)]
    if name != "groovy":
        assert all(one.fix for one in found.findings)
    report = (tmp_path / "reports" / f"{name}.xml").read_text()
    assert f"{rule} {file}:{line}" in report


def test_no_check_is_without_a_planted_defect():
    """Whoever adds a check plants a defect for it: here, or in a file that is named here."""
    elsewhere = {
        "test_dependencies.py": ("locks", "licences", "advisories"),
        "test_jenkins.py": ("jenkins",),
        "test_kubernetes.py": ("kubernetes",),
        "test_manifests.py": ("templates", "serving", "proxy", "unit", "notices"),
        "test_planted.py": ("tests",),
    }
    named = [name for names in elsewhere.values() for name in names]
    assert sorted([*PLANTED, *named]) == sorted(TABLE)
    for file, names in elsewhere.items():
        text = Path(__file__).with_name(file).read_text()
        assert [name for name in names if name not in text] == []


def test_what_is_unchanged_is_not_looked_at_again(look, tmp_path):
    plant(tmp_path, "a.yaml", "a: 1\n")
    clean = look("yaml")
    assert look("yaml", {"yaml": clean.key}).state == "reused"
    plant(tmp_path, ".yamllint", "extends: default\nrules: {document-start: enable}\n")
    assert look("yaml", {"yaml": clean.key}).state == "failed"


def test_a_check_that_looks_at_nothing_fails(look):
    result = look("docker")
    assert (result.files, result.state) == (0, "failed")
    assert result.findings[0].rule == "nothing-to-check"


def test_a_broken_tool_is_a_finding(look, tmp_path):
    plant(tmp_path, "a.yaml", "a: 1\n")
    plant(tmp_path, ".yamllint", "rules: {no-such-rule: enable}\n")
    result = look("yaml")
    assert result.findings[0].rule == "yaml-broken"
    assert "no-such-rule" in result.findings[0].why


def test_git_decides_what_belongs_to_the_project(tmp_path):
    for name in ("kept.py", "ignored.py", "new.py"):
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    for words in (["init", "-q"], ["add", "kept.py"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    found = [path.name for path in listed(tmp_path)]
    assert found == [".gitignore", "kept.py", "new.py"]
    assert [path.name for path in matching(listed(tmp_path), tmp_path, ("k*.py",))] == ["kept.py"]


def test_the_tests_are_a_check_with_findings_and_coverage(look, tmp_path):
    (tmp_path / "model").mkdir()
    plant(tmp_path, "ci/a.py", "def half(x):\n    if x:\n        return 1\n    return 2\n")
    plant(
        tmp_path,
        "tests/test_a.py",
        "from ci.a import half\n\n\ndef test_b():\n    assert half(0)\n",
    )
    pyproject = (tmp_path / "pyproject.toml").read_text()
    plant(tmp_path, "pyproject.toml", pyproject.replace("timeout = 600\n", ""))
    result = look("tests")
    assert result.files == 1
    assert [one.rule for one in result.findings] == ["coverage"]
    assert "75.0%" in result.findings[0].why
    plant(tmp_path, "tests/test_a.py", "def test_b():\n    assert 1 == 2\n")
    rules = [(one.file, one.rule) for one in look("tests").findings]
    assert rules == [("tests/test_a.py", "test_b"), ("tests", "coverage")]


def test_the_command_line_names_an_unknown_check():
    command = [sys.executable, "-m", "ci", "check", "--only", "spelling"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "There is no check 'spelling'; there are locks" in done.stderr


def test_what_was_not_looked_at_is_told_at_the_end_and_repeated_by_the_report(tmp_path, capsys):
    path = tmp_path / "pipeline.toml"
    path.write_text(f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n')
    assert main(["--config", str(path), "check", "--only", "advisories"]) == 0
    said = re.search(
        r"1 checks passed .*; (advisories: 0 of \d+ pins scanned)", capsys.readouterr().out
    )
    assert said
    assert main(["--config", str(path), "report"]) == 0
    assert said[1] in (tmp_path / "build/demo/report.md").read_text()
    assert said[1] in (tmp_path / "build/demo/report.html").read_text()


def test_the_record_is_json(tmp_path, look):
    plant(tmp_path, "a.yaml", "a: 1\na: 2\n")
    text = json.dumps(look("yaml").as_json())
    assert json.loads(text)["findings"][0]["rule"] == "key-duplicates"


def test_a_scene_names_files_from_the_project(tmp_path):
    scene = Scene(tmp_path, load_config(PROJECT / "pipeline.toml"), (), tmp_path)
    assert scene.name(tmp_path / "a" / "b.py") == scene.name("a/b.py") == "a/b.py"
