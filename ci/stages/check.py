"""Stage `check`: every check of the table, each with a JUnit report."""

from ci.checking.check import Check
from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, Config
from ci.errors import PushcartError, UsageError
from ci.workspace import Workspace

RECORD = "../check.json"
CLEAN = ("clean", "reused")


def run(config: Config, workspace: Workspace) -> str:
    """Run the chosen checks, also after one has failed.

    Raises:
        PushcartError: A check found something; it is printed and in the reports.
        UsageError: There is no check of a given name.
    """
    reports = config.build.parent / "reports"
    chosen = choose(config.options.only, config.options.without)
    before = {one["name"]: one for one in (workspace.find_json(RECORD) or {}).get("checks", [])}
    clean = {name: one["key"] for name, one in before.items() if one["state"] in CLEAN}
    results = run_checks(chosen, config, PROJECT, reports, clean)
    merged = before | {result.name: result.as_json() for result in results}
    workspace.write_json(RECORD, {"checks": list(merged.values())})
    failed = [result.name for result in results if result.findings]
    unseen = "".join(f"; {one.name}: {one.unseen}" for one in results if one.unseen)
    if failed:
        raise PushcartError(
            f"{len(failed)} of {len(results)} checks failed: {', '.join(failed)}. The findings "
            f"stand above and in {reports}{unseen}."
        )
    states = [result.state for result in results]
    skipped = f", {states.count('skipped')} skipped" if "skipped" in states else ""
    passed = len(results) - states.count("skipped")
    return (
        f"{passed} checks passed ({states.count('reused')} reused{skipped}), reports in {reports}"
        f"{unseen}"
    )


def choose(only: tuple[str, ...], without: tuple[str, ...]) -> list[Check]:
    """The checks of the table that a person asked for.

    Raises:
        UsageError: A name is not in the table.
    """
    names = [check.name for check in CHECKS]
    for name in (*only, *without):
        if name not in names:
            raise UsageError(f"There is no check {name!r}; there are {', '.join(names)}.")
    return [
        check for check in CHECKS if (not only or check.name in only) and check.name not in without
    ]
