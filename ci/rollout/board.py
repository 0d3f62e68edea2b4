"""Hosts at work: on a terminal one line each that moves, elsewhere one line a step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from ci.rollout import targets


@contextmanager
def board(tell: targets.Progress) -> Iterator[targets.Progress]:
    """Show how far each host is for as long as the block lasts.

    Args:
        tell: Hears of the steps where the output is no terminal.

    Yields:
        What is to be told of each step, as {"host": …, "step": …, "what": …}.
    """
    console = Console()
    if not console.is_terminal:
        yield tell
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.fields[host]}", markup=False),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, expand=True) as shown:
        rows = _Rows(shown)
        yield rows.hear
        rows.end()


class _Rows:
    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._tasks: dict[str, TaskID] = {}

    def hear(self, news: Mapping[str, Any]) -> None:
        host = news["host"]
        if host not in self._tasks:
            self._tasks[host] = self._shown.add_task("", total=1, host=host)
        said = f"{news['step']}: {news['what']}".splitlines()[0]
        self._shown.update(self._tasks[host], description=said)

    def end(self) -> None:
        for task in self._tasks.values():
            self._shown.update(task, completed=1)
