"""Command `doctor`: look at this machine and say how each finding is mended.

It needs no environment: where packages cannot be installed it is needed most. Where there is one,
its table is drawn by rich.
"""

import json
import os
from pathlib import Path

from ci.console import say
from ci.doctor import machine, surroundings
from ci.doctor.finding import FINE, NEEDED, Finding, Wants
from ci.environment import ROOT, ready_python
from ci.errors import UnavailableError, UsageError

SIGNS = {FINE: "✓", "optional": "·", NEEDED: "✗"}


def run(config: Path, as_json: bool) -> None:
    """Print what was found.

    Raises:
        UnavailableError: Something that the configuration needs is not there.
    """
    found = examine(config, dict(os.environ))
    needed = [finding.name for finding in found if finding.state == NEEDED]
    if as_json:
        content = {"findings": [vars(finding) for finding in found], "needed": needed}
        say(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        show(found)
    if needed:
        raise UnavailableError(
            f"To be mended before `bin/ci` can do all that {config.name} asks for: "
            f"{', '.join(needed)}."
        )


def examine(config: Path, variables: dict[str, str]) -> list[Finding]:
    """Look at everything."""
    role = variables.get("PUSHCART_ROLE") or "ci"
    found = machine.findings(ROOT, ready_python(role), variables)
    found += surroundings.proxies(variables)
    try:
        wants = Wants.read(config, ROOT)
    except UsageError as error:
        found.append(Finding("settings", NEEDED, str(error), "mend the file, or name another"))
        wants = Wants(config.parent, ROOT)
    engine = variables.get("DOCKER_HOST") or surroundings.ENGINE
    found.append(surroundings.docker(engine, wants))
    found += surroundings.ssh(wants, variables, Path.home())
    found += surroundings.ports(wants)
    return found


def show(found: list[Finding]) -> None:
    """Print a table, by rich where it is installed."""
    try:
        from rich.box import SIMPLE  # noqa: PLC0415  absent before the first environment is made
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
    except ModuleNotFoundError:
        say("\n".join(plain(found)))
        return
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        say("\n".join(plain(found)))  # a log is searched, not looked at: no line is folded
        return
    table = Table(box=SIMPLE, show_edge=False)
    for title in ("", "looked at", "seen", "to mend"):
        table.add_column(title, overflow="fold")
    styles = {FINE: "green", NEEDED: "bold red"}
    for one in found:
        row = (SIGNS[one.state], one.name, one.seen, one.mend)
        table.add_row(*row, style=styles.get(one.state, "yellow"))
    console.print(table)


def plain(found: list[Finding]) -> list[str]:
    """A line a finding, and one below it that says how it is mended."""
    width = max(len(finding.name) for finding in found)
    lines = []
    for one in found:
        lines.append(f"{SIGNS[one.state]} {one.name:<{width}}  {one.seen}")
        lines += [f"  {'':<{width}}  → {one.mend}"] if one.mend else []
    return lines
