"""Holds the rule of the rooms: imports go one way, and inside `model/` in the order of the flow."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("ci", "model", "serving", "tests", "benchmarks")
# What a room may import of ours; `model` imports nothing outside itself.
ALLOWED = {
    "model": re.compile(r"^model(\.|$)"),
    "serving": re.compile(r"^(serving(\.|$)|model\.(schema|history)$)"),
    "ci": re.compile(r"^(ci|model|serving)(\.|$)"),
}
STANDARD_LIBRARY_ONLY = ("model/schema.py", "model/history.py")
FORBIDDEN_NAMES = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            is_package = (ROOT / node.module.replace(".", "/")).is_dir()
            found |= names if is_package else {node.module}
    return found


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in ROOMS}


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    seen = files(room)
    assert seen
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in seen
        for name in ours(imports(path))
        if not ALLOWED[room].match(name)
    }
    assert not wrong


def test_stages_do_not_import_one_another():
    stages = files("ci/stages")
    assert stages
    wrong = {
        f"{path.name} imports {name}"
        for path in stages
        for name in imports(path)
        if name.startswith("ci.stages")
    }
    assert not wrong


def test_no_cycle_inside_model():
    """A module imports only modules earlier in the flow, so the graph has no cycle."""
    graph = {dotted(path): ours(imports(path)) for path in files("model")}
    order: list[str] = []
    while len(order) < len(graph):
        ready = [
            name for name in graph if name not in order and graph[name] & graph.keys() <= {*order}
        ]
        assert ready, f"cycle among {sorted(graph.keys() - {*order})}"
        order += ready


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_the_words_need_nothing_but_python(name):
    foreign = {
        module
        for module in imports(ROOT / name)
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("model.")
    }
    assert not foreign


def test_no_drawer_for_odds_and_ends():
    rooms = [path for room in ROOMS for path in files(room)]
    assert not [path for path in rooms if path.name in FORBIDDEN_NAMES]


def test_every_module_begins_with_a_sentence():
    silent = [
        str(path.relative_to(ROOT))
        for room in ("ci", "model", "serving", "benchmarks")
        for path in files(room)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_only_the_configuration_reads_the_environment():
    """Settings are read once: `os.environ` belongs to the modules that own a border."""
    allowed = {"ci/config.py", "ci/registry.py", "ci/environment.py", "ci/testing.py"}
    readers = {
        str(path.relative_to(ROOT))
        for room in ("ci", "model", "serving")
        for path in files(room)
        if re.search(r"os\.environ\[|os\.environ\.get|os\.getenv", path.read_text("utf-8"))
    }
    assert readers <= allowed
