"""The locks: made from requirements.txt as it stands, complete, one version a package, portable."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ci.locks import locking
from ci.locks.installing import UNUSED, install_uv
from ci.locks.vendoring import PLATFORMS

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "requirements"
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {
    "linux-x86_64": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "linux-aarch64": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "macos-arm64": {"sys_platform": "darwin", "platform_machine": "arm64"},
}
LIMIT = 2.2e9  # bytes of the environment in which `bin/ci run` works


def entries(role: str) -> list[tuple[Requirement, list[str]]]:
    """Each requirement of a lock with its hashes."""
    lines = (FOLDER / f"{role}.lock").read_text().replace("\\\n", " ").splitlines()
    return [
        (Requirement(line.partition("--hash")[0].strip()), re.findall(r"--hash=(\S+)", line))
        for line in lines
        if line and not line.startswith("#")
    ]


def packages(role: str, machine: str = "linux-x86_64", python: str = "3.11") -> dict[str, str]:
    """Name → version of what a lock installs on a machine."""
    facts = {
        **MACHINES[machine],
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[
            MACHINES[machine]["sys_platform"]
        ],
        "os_name": "posix",
        "python_version": python,
        "python_full_version": f"{python}.4",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    return {
        canonicalize_name(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement, _ in entries(role)
        if requirement.marker is None or requirement.marker.evaluate(facts)
    }


def test_no_lock_is_older_than_what_it_is_made_from():
    assert locking.stale() == [], "run `bin/ci lock`"


def test_a_changed_requirement_makes_exactly_the_locks_stale_that_take_its_block(tmp_path):
    (tmp_path / "requirements").mkdir()
    for file in [ROOT / "requirements.txt", *FOLDER.iterdir()]:
        copy = tmp_path / file.relative_to(ROOT)
        copy.write_text(file.read_text())
    chosen = tmp_path / "requirements.txt"
    text = chosen.read_text()
    chosen.write_text(text.replace("httptools  ", "httptools!=0.1  "))
    assert locking.stale(tmp_path) == ["dev", "ci", "gpu", "deploy", "gateway", "server"]
    chosen.write_text(text.replace("\npytest-cov", "\npytest-cov>=5"))
    assert locking.stale(tmp_path) == ["dev"]
    chosen.write_text(text.replace("# the models", "# what learns"))
    assert locking.stale(tmp_path) == []


@pytest.mark.parametrize("role", locking.BLOCKS)
def test_every_package_is_pinned_by_hash_and_no_address_is_inside(role):
    assert "://" not in (FOLDER / f"{role}.lock").read_text()
    found = entries(role)
    assert found
    for requirement, hashes in found:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", value) for value in hashes)


def test_every_choice_says_why():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    choices = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in choices if not re.search(r"\s# \w", line)] == []


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_package_has_one_version_in_all_locks(machine, python):
    seen: dict[str, dict[str, list[str]]] = {}
    # Another TensorFlow on purpose; and a server that shares no environment with ours.
    for role in set(locking.BLOCKS) - {"serving-base", "mlflow"}:
        for name, version in packages(role, machine, python).items():
            seen.setdefault(name, {}).setdefault(version, []).append(role)
    assert {name: versions for name, versions in seen.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_one_tensorflow_in_an_environment_that_trains_and_none_elsewhere(machine, python):
    for role in locking.BLOCKS:
        found = {"tensorflow", "tensorflow-cpu"} & packages(role, machine, python).keys()
        if role in {"dev", "ci", "serving-base"}:
            right = "tensorflow-cpu" if machine == "linux-x86_64" else "tensorflow"
            assert found == {right}
        else:
            assert found == ({"tensorflow"} if role == "gpu" else set())


def test_mlflows_server_has_the_version_of_its_clients():
    assert packages("mlflow")["mlflow"] == packages("dev")["mlflow-skinny"]
    assert packages("mlflow")["mlflow-skinny"] == packages("dev")["mlflow-skinny"]


def test_dev_holds_all_of_ci():
    assert packages("ci").items() <= packages("dev").items()


@pytest.mark.parametrize("machine", PLATFORMS)
@pytest.mark.parametrize("role", locking.BLOCKS)
def test_each_lock_resolves_to_wheels_on_each_platform(role, machine, tmp_path):
    """Uv asks the index whether every pinned version has a wheel for that platform."""
    from ci.locks.installing import run_uv

    out = tmp_path / "resolved.txt"
    options = ["--quiet", "--only-binary=:all:", "--no-annotate", "--no-header", "--no-deps"]
    options += [f"--python-platform={PLATFORMS[machine].uv}", "--python-version=3.11"]
    lock = FOLDER / f"{role}.lock"
    run_uv(install_uv(), ["pip", "compile", *options, f"--output-file={out}", str(lock)], "resolve")
    resolved = dict(line.split("==") for line in out.read_text().splitlines())
    assert resolved == packages(role, machine)


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def file_of(module: str) -> Path | None:
    """The file of one of our modules."""
    path = ROOT / module.replace(".", "/")
    found = (place for place in (path.with_suffix(".py"), path / "__init__.py") if place.is_file())
    return next(found, None)


def reached(start: str, without: set[str]) -> set[Path]:
    """Our files that a module imports, directly or not."""
    waiting, seen = [start], set()
    while waiting:
        module = waiting.pop()
        path = file_of(module)
        if path and path not in seen and module not in without:
            seen.add(path)
            waiting += imported(path)
    return seen


def absent(paths: set[Path], role: str) -> set[str]:
    """Outside packages that files import and a lock does not hold."""
    modules = {name.partition(".")[0] for path in paths for name in imported(path)}
    outside = modules - sys.stdlib_module_names - {"ci", "model", "serving"}
    known = importlib.metadata.packages_distributions()
    held = packages(role).keys()
    return {
        module
        for module in outside
        if not {canonicalize_name(name) for name in known.get(module, [])} & held
    }


def test_what_the_pipeline_imports_is_in_the_lock_it_runs_with():
    paths = {path for room in ("ci", "model", "serving") for path in (ROOT / room).rglob("*.py")}
    apart = set((ROOT / "ci" / "checking").rglob("*.py"))  # `bin/ci check` runs with dev
    apart.add(ROOT / "ci" / "kubernetes" / "validation.py")  # which it alone calls
    apart.add(ROOT / "ci" / "notebook.py")  # `bin/ci notebook` too
    assert len(paths - apart) > 50
    assert absent(paths - apart, "ci") == set()
    assert absent(apart, "dev") == set()
    assert absent(apart, "ci") == {  # the measure can see a lack
        *("detect_secrets", "kubernetes_validate"),
        *("jupytext", "nbclient", "nbconvert", "nbformat", "traitlets"),
    }


@pytest.mark.parametrize(
    ("role", "start", "without"),
    [
        ("gateway", "serving.gateway.app", set()),
        ("server", "serving.server", {"serving.embedded.savedmodel_engine"}),
    ],
)
def test_what_a_small_image_imports_is_in_its_lock(role, start, without):
    paths = reached(start, without)
    assert len(paths) > 3
    assert absent(paths, role) == set()


def test_the_environment_of_a_run_stays_under_its_limit():
    """Sizes as each package's own record states them, of this very environment's packages."""
    total = 0
    for name in packages("ci"):
        for file in importlib.metadata.distribution(name).files or ():
            if not str(file).startswith(UNUSED) and file.size:
                total += -(-file.size // 4096) * 4096  # whole blocks, as `du` counts
    assert 1e9 < total * 1.06 < LIMIT  # modules as Python compiles them at first use: 5 % more


def test_shell_scripts_pass_shellcheck():
    checker = Path(sys.executable).with_name("shellcheck")
    scripts = [str(ROOT / "bin" / "ci"), str(ROOT / ".ci" / "run")]
    done = subprocess.run([checker, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
