"""`bin/ci notebook`: a real JupyterLab on loopback, real kernels, in a copy of the project."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jupytext
import psutil
import pytest
from bs4 import BeautifulSoup

from ci.config import PROJECT
from ci.errors import UsageError
from ci.notebook import own_copy, run
from tests.services import free_port
from tests.serving.servers import wait_until

LINK = re.compile(r"(http://127\.0\.0\.1:\d+)/lab/tree/(\S+)\?token=(\w+)")
SHORT = '# %% [markdown]\n# # Short\n\n# %%\nprint("first", 40 + 2)\n'
PLOT = """
# %%
from IPython.display import display
from matplotlib import pyplot

figure, axes = pyplot.subplots()
display(figure, metadata={"image/png": {"alt": 'An "empty" <plot>'}})
pyplot.close(figure)
"""
RAISES = (
    '\n# %% [markdown]\n# ## Later\n\n# %%\nraise ValueError("planted")\n\n# %%\nprint("never")\n'
)
WAITS = """
# %%
import signal

signal.pause()
"""


@dataclass
class Copy:
    """A copy of the project whose notebooks a test may change."""

    root: Path

    @property
    def tour(self) -> Path:
        return self.root / "docs/notebooks/tour.py"

    @property
    def made(self) -> Path:
        return self.root / "build/notebooks"

    @contextmanager
    def start(self, *words: str):
        """Start `notebook`; it and its kernels end with the block."""
        jupyter = {f"JUPYTER_{name}_DIR": str(self.root / name) for name in ("DATA", "CONFIG")}
        own = {"PYTHONPATH": str(self.root), "PYTHONSAFEPATH": "1", **jupyter}
        process = subprocess.Popen(
            [sys.executable, "-m", "ci", "notebook", *words],
            cwd=self.root,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def run(self, *words: str) -> tuple[int, str]:
        """Its exit code and all that it says."""
        with self.start(*words) as process:
            said, _ = process.communicate(timeout=300)
            return process.returncode, said


@pytest.fixture
def copy(tmp_path):
    root = tmp_path / "a shop's clone"
    for room in ("ci", "model", "serving", "docs/notebooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / room, root / room, ignore=ignored)
    return Copy(root)


def ask(url: str, token: str = "", body: dict | None = None):
    """The JSON that Jupyter answers; an HTTPError where it refuses."""
    headers = {"Authorization": f"token {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return json.load(answer)


def read_link(process) -> tuple[str, str, str]:
    """Address, path and token of the link that JupyterLab prints."""
    said = ""
    for line in process.stdout:
        said += line
        if found := LINK.search(line):
            return found.group(1), found.group(2), found.group(3)
    raise AssertionError(said)


def addresses(process: psutil.Process) -> set[str]:
    """Where a process listens for TCP connections."""
    return {
        connection.laddr.ip
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_jupyterlab_serves_a_copy_of_the_tour_to_whoever_has_the_token(copy):
    before = copy.tour.read_bytes()
    port = free_port()
    with copy.start("--no-browser", "--port", str(port)) as process:
        address, path, token = read_link(process)
        jupyter = psutil.Process(process.pid)
        wait_until(lambda: addresses(jupyter), "the port opens shortly after the link is printed")
        assert address == f"http://127.0.0.1:{port}"
        url = f"{address}/api/contents/{path.removeprefix('/lab/tree/')}"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(url)
        served = ask(url, token)
        cells = [cell["source"] for cell in served["content"]["cells"]]
        assert cells == [cell.source for cell in jupytext.read(copy.tour).cells]
        assert addresses(jupyter) == {"127.0.0.1"}
        assert token not in " ".join(jupyter.cmdline())
        kernel = ask(f"{address}/api/kernels", token, {"name": "python3"})
        assert kernel["execution_state"]
        (child,) = jupyter.children()
        wait_until(lambda: addresses(child), "the kernel opens its ports")
        assert addresses(child) == {"127.0.0.1"}
        assert "curve_secretkey" in json.loads(Path(child.cmdline()[-1]).read_text())  # encrypted
        assert child.environ()["PYTHONPATH"] == str(copy.root)
        process.terminate()
        process.communicate(timeout=60)
        psutil.wait_procs([child], timeout=60)
        assert not child.is_running()
    assert copy.tour.read_bytes() == before
    assert [path.name for path in copy.tour.parent.iterdir()] == ["tour.py"]
    assert (copy.made / "tour.ipynb").exists()


def test_run_leaves_a_page_that_needs_nothing_else(copy):
    copy.tour.write_text(SHORT + PLOT)
    code, said = copy.run("--run")
    assert code == 0, said
    assert "Cell 1 of 2 (Short)" in said
    assert f"{copy.made}/tour.html" in said
    page = (copy.made / "tour.html").read_text()
    assert "first 42" in page
    assert BeautifulSoup(page, "html.parser").img["alt"] == 'An "empty" <plot>'
    assert re.findall(r"""(?:src|href)=["']https?:[^"']*""", page) == []
    assert [path.name for path in copy.made.iterdir()] == ["tour.html"]


def test_a_cell_that_fails_is_named_and_the_page_shows_how_far_it_came(copy):
    copy.tour.write_text(SHORT + RAISES)
    code, said = copy.run("--run")
    assert code == 1
    assert "Cell 2 of 3 (Later) failed: ValueError: planted" in said
    assert "Traceback" not in said
    page = (copy.made / "tour.html").read_text()
    assert "first 42" in page
    assert "planted" in page


def test_a_kernel_that_dies_is_told(copy):
    copy.tour.write_text(SHORT + "\n# %%\nimport os\n\nos._exit(9)\n")
    code, said = copy.run("--run")
    assert code == 1
    assert "Cell 2 of 2 (Short) was not finished: its kernel died." in said
    assert "Traceback" not in said


def test_ctrl_c_ends_the_run_and_its_kernel(copy):
    copy.tour.write_text(SHORT + WAITS)
    with copy.start("--run") as process:
        assert "Cell 1 of 2" in process.stdout.readline()
        kernels = psutil.Process(process.pid).children()
        assert kernels
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Stopped." in said
        assert "Traceback" not in said
        assert not any(kernel.is_running() for kernel in kernels)
    assert "first 42" in (copy.made / "tour.html").read_text()


def test_a_port_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match="--port 70000: a port is a number from 1 to 65535"):
        run(headless=False, port=70_000, browser=False)


def test_a_copy_is_kept_while_its_script_is_the_same_and_put_aside_after_that(tmp_path, capsys):
    source = tmp_path / "tour.py"
    source.write_text(SHORT)
    copy = own_copy(source, tmp_path)
    notebook = jupytext.read(copy)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"]
    notebook.cells[1].source = "mine"
    jupytext.write(notebook, copy)
    assert own_copy(source, tmp_path) == copy
    assert jupytext.read(copy).cells[1].source == "mine"
    assert "as you left it" in capsys.readouterr().out
    source.write_text(SHORT + PLOT)
    assert own_copy(source, tmp_path) == copy
    assert len(jupytext.read(copy).cells) == 3
    assert jupytext.read(tmp_path / "tour.earlier.ipynb").cells[1].source == "mine"
    assert "tour.earlier.ipynb" in capsys.readouterr().out
    assert source.read_text() == SHORT + PLOT
