"""Command `notebook`: the tour of `docs/notebooks` in JupyterLab, or executed to a page."""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import jupytext
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config as JupyterConfig

from ci.config import PROJECT
from ci.console import duration, say
from ci.environment import command_environment
from ci.errors import PushcartError, UsageError
from ci.workspace import digest_of, write_atomically

TOUR = PROJECT / "docs/notebooks/tour.py"
FOLDER = PROJECT / "build/notebooks"
# What goes to and from a kernel passes ports that every user of the machine can reach.
ENCRYPTION = "required"
# nbconvert's page without the scripts that it loads from elsewhere, for formulas and widgets that
# are not there, and with what a plot says to those who cannot see it.
PAGE = """\
{% extends 'index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block data_png scoped %}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
     alt="{{ output | get_metadata('alt', 'image/png') | escape_html }}">
</div>
{% endblock data_png %}
"""


def run(*, headless: bool, port: int, browser: bool) -> int:
    """Open the tour in JupyterLab, or execute it and leave a page.

    Args:
        headless: Execute it here, without JupyterLab.
        port: Where JupyterLab listens; the next free one when another program holds it.
        browser: Whether a browser is opened.

    Raises:
        UsageError: There is no such port.
        PushcartError: A cell failed; the page shows how far it came.
    """
    if not 0 < port < 65_536:
        raise UsageError(f"--port {port}: a port is a number from 1 to 65535.")
    if headless:
        return _leave_page(FOLDER / f"{TOUR.stem}.html")
    copy = own_copy(TOUR, FOLDER)
    say("JupyterLab starts; Ctrl-C ends it. The link with its token stands below.")
    return _become(jupyter_command(copy, port, browser=browser))


def own_copy(source: Path, folder: Path) -> Path:
    """A notebook to work in, made of a script, so that the script stays as it is.

    An earlier copy of the same script is kept with what was done in it; one of an older script is
    put aside.
    """
    copy, digest = folder / f"{source.stem}.ipynb", digest_of(source)
    if copy.exists():
        if jupytext.read(copy).metadata.get("source_digest") == digest:
            say(f"{copy} is opened as you left it; remove it to begin anew.")
            return copy
        aside = copy.with_suffix(".earlier.ipynb")
        copy.replace(aside)
        say(f"{source.name} has changed since your copy was made: the copy is now {aside.name}.")
    notebook = jupytext.read(source)
    notebook.metadata.update(
        source_digest=digest,
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
    )
    write_atomically(copy, jupytext.writes(notebook, fmt="ipynb"))
    return copy


def jupyter_command(copy: Path, port: int, *, browser: bool) -> list[str]:
    """The command line of a JupyterLab that this machine alone reaches, with a token.

    Its file list begins at the project, so that the links of the text to `docs/` lead somewhere.
    """
    settings = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": PROJECT,
        "ServerApp.allow_root": True,  # as any other command; in a container there is nobody else
        "ServerApp.answer_yes": True,  # Ctrl-C ends it at once
        "ServerApp.open_browser": browser,
        "Application.log_level": "WARN",
        "LabApp.default_url": f"/lab/tree/{copy.relative_to(PROJECT).as_posix()}",
        # Nothing is fetched from elsewhere, and the environment stays what its lock says.
        "LabApp.extension_manager": "readonly",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "KernelManager.transport_encryption": ENCRYPTION,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "jupyterlab", *options]


def _become(command: list[str]) -> NoReturn:
    os.execve(command[0], command, command_environment(os.environ))  # noqa: S606  no shell: words as they are


def _leave_page(page: Path) -> int:
    notebook, started = jupytext.read(TOUR), time.monotonic()
    page.parent.mkdir(parents=True, exist_ok=True)
    try:
        execute(notebook, page.parent)
    finally:
        write_atomically(page, page_of(notebook))
        say(f"{page} ({duration(time.monotonic() - started)})")
    return 0


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in order in a kernel of its own; the outputs go into the notebook.

    Args:
        notebook: Changed in place, also where a cell fails.
        folder: The current folder of the cells.

    Raises:
        PushcartError: A cell failed, or the kernel died.
        KeyboardInterrupt: The run was ended; its kernel has ended too.
    """
    progress = _Progress(notebook.cells)
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--Application.log_level=CRITICAL"],
        resources={"metadata": {"path": str(folder)}},
        config=JupyterConfig({"KernelManager": {"transport_encryption": ENCRYPTION}}),
        on_cell_start=progress.start,
        on_cell_executed=progress.end,
    )
    try:
        client.execute(env=command_environment(os.environ))
    except CellExecutionError as error:
        raise PushcartError(
            f"{progress.where} failed: {error.ename}: {error.evalue}\n"
            "Run its cells one by one to look closer: `bin/ci notebook`."
        ) from error
    except AssertionError as error:
        # At a signal nbclient ends the kernel, and then trips over its being gone.
        raise KeyboardInterrupt from error
    except DeadKernelError as error:
        raise PushcartError(
            f"{progress.where} was not finished: its kernel died. Is memory short?"
        ) from error


class _Progress:
    """Tells of each cell of code when it has run, under the heading above it."""

    def __init__(self, cells: Iterable[NotebookNode]) -> None:
        self._headings: dict[int, str] = {}
        heading = ""
        for index, cell in enumerate(cells):
            if cell.cell_type == "markdown" and cell.source.startswith("#"):
                heading = cell.source.partition("\n")[0].lstrip("# ")
            elif cell.cell_type == "code":
                self._headings[index] = heading
        self._started = 0.0
        self.where = "The notebook"

    def start(self, cell: NotebookNode, cell_index: int) -> None:
        """Note which cell begins."""
        if cell.cell_type == "code":
            self._started = time.monotonic()
            place = list(self._headings).index(cell_index) + 1
            self.where = f"Cell {place} of {len(self._headings)} ({self._headings[cell_index]})"

    def end(self, cell: NotebookNode, cell_index: int, execute_reply: object) -> None:  # noqa: ARG002  nbclient's names
        """Tell that it has run."""
        say(f"{self.where}  {duration(time.monotonic() - self._started)}")


def page_of(notebook: NotebookNode) -> str:
    """The notebook with its outputs as one page that needs nothing else."""
    exporter = HTMLExporter(raw_template=PAGE, embed_images=True)  # type: ignore[no-untyped-call]
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": "A tour of Pushcart"}})
    return str(page)
