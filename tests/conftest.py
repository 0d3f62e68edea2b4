"""Fixtures of the whole suite, and the rule that nothing is skipped silently."""

import os
import signal
from collections.abc import Iterator

import pytest

from ci.config import in_ci
from tests.services import (
    NOT_RUN_HERE,
    DatabaseServer,
    mariadb_server,
    postgresql_server,
    require_service,
)

pytest_plugins = ["tests.rollout_fixtures"]


def pytest_configure() -> None:
    """Make no difference between a terminal and a build server, which ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("PUSHCART_STATE", "PUSHCART_ARTIFACTS"):  # a build server's own: never touched
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[DatabaseServer]:
    """A real PostgreSQL on a loopback port; drop what you create."""
    require_service("postgresql")
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """A real MariaDB on a loopback port; drop what you create."""
    require_service("mariadb")
    with mariadb_server() as server:
        yield server


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the sentence of a skip (pytest keeps it as (file, line, "Skipped: ..."))."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With CI=true, turn a skip into a failure unless it is listed as not run here."""
    allowed = _reason(report).startswith(NOT_RUN_HERE) or hasattr(report, "wasxfail")
    if report.skipped and in_ci() and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {_reason(report)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    _forbid_skip(report)
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """List the variants whose outside resource is not configured: the reason, then the tests."""
    tests: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        if _reason(report).startswith(NOT_RUN_HERE):
            reason = _reason(report).removeprefix(NOT_RUN_HERE).strip()
            tests.setdefault(reason, set()).add(report.nodeid.partition("[")[0])
    if tests:
        terminalreporter.section("not run here")
        for reason, names in sorted(tests.items()):
            terminalreporter.write_line(f"{reason}: {len(names)} tests")
            for name in sorted(names):
                terminalreporter.write_line(f"  {name}")
