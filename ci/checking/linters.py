"""Checks by well-known linters, each asked for its machine-readable output."""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ci.checking.check import Finding, Outcome, Scene, run_tool

TOOLS = Path(sys.executable).parent
# Where a rule is explained, with what to write instead; its name comes at the end.
MANUALS = {
    "mypy": "https://mypy.readthedocs.io/en/stable/_refs.html#code-",
    "yamllint": "https://yamllint.readthedocs.io/en/stable/rules.html#module-yamllint.rules.",
    "hadolint": "https://github.com/hadolint/hadolint/wiki/",
    "shellcheck": "https://www.shellcheck.net/wiki/",
    "ansible": "https://ansible.readthedocs.io/projects/lint/rules/",
}


def _outcome(findings: Iterable[Finding]) -> Outcome:
    return Outcome(tuple(findings))


def ruff(scene: Scene) -> Outcome:
    """Faults and style of Python."""
    command = [TOOLS / "ruff", "check", "--output-format=json", "--no-cache", *scene.files]
    return _outcome(
        Finding(
            scene.name(one["filename"]),
            one["location"]["row"],
            str(one["code"]),
            one["message"],
            (one["fix"] or {}).get("message") or one["url"] or "",
        )
        for one in json.loads(run_tool(command, scene))
    )


def ruff_format(scene: Scene) -> Outcome:
    """Layout of Python."""
    options = ["--check", "--output-format=json", "--no-cache"]
    found = json.loads(run_tool([TOOLS / "ruff", "format", *options, *scene.files], scene))
    why, fix = "is not laid out as ruff does", "run `ruff format`"
    return _outcome(
        Finding(scene.name(one["filename"]), one["location"]["row"], "format", why, fix)
        for one in found
    )


def mypy(scene: Scene) -> Outcome:
    """Types of the rooms that pyproject.toml names."""
    lines = run_tool([TOOLS / "mypy", "--output=json"], scene).splitlines()
    found = (json.loads(line) for line in lines if line.startswith("{"))
    return _outcome(
        Finding(
            one["file"],
            one["line"],
            one["code"] or "mypy",
            one["message"],
            one["hint"] or f"{MANUALS['mypy']}{one['code']}",
        )
        for one in found
        if one["severity"] == "error"
    )


PARSABLE = re.compile(
    r"^(?P<file>.+?):(?P<line>\d+):\d+: \[\w+\] (?P<why>.*?) ?\((?P<rule>[\w-]+)\)$"
)


def yamllint(scene: Scene) -> Outcome:
    """Layout and traps of YAML."""
    command = [TOOLS / "yamllint", "--strict", "--format=parsable", *scene.files]
    lines = run_tool(command, scene, codes=(0, 1, 2)).splitlines()
    matches = (PARSABLE.match(line) for line in lines)
    return _outcome(
        Finding(
            scene.name(one["file"]),
            int(one["line"]),
            one["rule"],
            one["why"],
            f"{MANUALS['yamllint']}{one['rule']}",
        )
        for one in matches
        if one
    )


def hadolint(scene: Scene) -> Outcome:
    """Traps of Dockerfiles."""
    command = [TOOLS / "hadolint", "--format=json", *scene.files]
    return _outcome(
        Finding(
            scene.name(one["file"]),
            one["line"],
            one["code"],
            one["message"],
            f"{MANUALS['hadolint']}{one['code']}",
        )
        for one in json.loads(run_tool(command, scene))
    )


def shellcheck(scene: Scene) -> Outcome:
    """Traps of shell scripts."""
    found: list[dict[str, Any]] = json.loads(
        run_tool([TOOLS / "shellcheck", "--format=json", *scene.files], scene)
    )
    return _outcome(
        Finding(
            scene.name(one["file"]),
            one["line"],
            f"SC{one['code']}",
            one["message"],
            f"{MANUALS['shellcheck']}SC{one['code']}",
        )
        for one in found
    )


def ansible_lint(scene: Scene) -> Outcome:
    """Roles and playbooks by the profile `production`, offline."""
    command = [TOOLS / "ansible-lint", "--offline", "--profile=production", "--format=codeclimate"]
    text = run_tool([*command, "--nocolor", "infra/ansible"], scene, codes=(0, 2))
    return _outcome(
        Finding(
            one["location"]["path"],
            int(one["location"].get("lines", {}).get("begin", 0)),
            one["check_name"],
            one["description"],
            f"{MANUALS['ansible']}{one['check_name'].partition('[')[0]}",
        )
        for one in json.loads(text or "[]")
    )


# `password_env = "X"` and Jenkins' `passwordVariable: 'X'` say where a secret is, not what it is.
REFERENCE = r"(_env|_file|Variable:)[\"']?\s*[=:]?\s*[\"']"


# Locks are nothing but hashes; the others are no text.
UNWRITTEN = (".lock", ".parquet", ".jar", ".png", ".gz")


def _is_written(path: Path) -> bool:
    return path.suffix not in UNWRITTEN


def secrets(scene: Scene) -> Outcome:
    """Keys and passwords that were written down."""
    from detect_secrets.core.scan import scan_file  # noqa: PLC0415  half a second of plugins
    from detect_secrets.settings import default_settings  # noqa: PLC0415

    with default_settings() as settings:
        settings.filters["detect_secrets.filters.regex.should_exclude_line"] = {
            "pattern": [REFERENCE]
        }
        found = [
            secret for path in scene.files if _is_written(path) for secret in scan_file(str(path))
        ]
    fix = "keep it out of the tree; a false alarm ends with `# pragma: allowlist secret`"
    return _outcome(
        Finding(scene.name(one.filename), one.line_number, one.type, "looks like a secret", fix)
        for one in found
    )
