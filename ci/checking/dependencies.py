"""Checks of what the project depends on: fresh locks, licences, known vulnerabilities."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from ci.checking.check import Finding, Outcome, Scene
from ci.config import PROJECT
from ci.errors import UsageError
from ci.locks.locking import stale
from ci.workspace import write_atomically

PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)")
# A network service may not be offered with these under a template that teams keep closed.
REFUSED_LICENCES = re.compile(r"\bA(?:ffero )?GPL|\bSSPL|Server Side Public|Commons Clause", re.I)


@dataclass(frozen=True)
class Pin:
    """One exact version in a lock."""

    name: str
    version: str
    file: str
    line: int


def canonical(name: str) -> str:
    """A package's name as PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(scene: Scene) -> list[Pin]:
    """Every pin of the scene's locks."""
    found = []
    for path in scene.files:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if match := PINNED.match(line):
                name = canonical(match["name"])
                found.append(Pin(name, match["version"], scene.name(path), number))
    return found


def locks(scene: Scene) -> Outcome:
    """Locks that were made from other requirements than the present ones."""
    return Outcome(
        tuple(
            Finding(
                f"requirements/{role}.lock",
                1,
                "stale-lock",
                "was made from other requirements than requirements.txt has now",
                "run `bin/ci lock` and commit what it changes",
            )
            for role in stale(scene.project)
        )
    )


def licences(scene: Scene) -> Outcome:
    """The licence of every installed package, listed; those that bind a service are findings."""
    listed, findings, seen = {}, [], set()
    for pin in pins(scene):
        if pin.name in seen:
            continue
        seen.add(pin.name)
        licence = licence_of(pin.name)
        if licence is None:
            continue  # of another platform, or of a role that is not installed here
        listed[pin.name] = {"version": pin.version, "licence": licence}
        if REFUSED_LICENCES.search(licence):
            why = f"{pin.name} {pin.version} is under {licence}"
            fix = "choose another package, or ask whoever answers for licences"
            findings.append(Finding(pin.file, pin.line, "licence", why, fix))
    write_atomically(scene.reports / "licences.json", json.dumps(listed, indent=1, sort_keys=True))
    unknown = sorted(name for name, one in listed.items() if one["licence"] == "unknown")
    note = f"{len(listed)} packages listed in licences.json"
    note += f"; no licence is stated by {', '.join(unknown)}" if unknown else ""
    return Outcome(tuple(findings), note, len(listed))


def licence_of(name: str) -> str | None:
    """What an installed package says of its licence; None when it is not installed."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    expression, licence = (about.get_all(key) or [""] for key in ("License-Expression", "License"))
    stated: str = expression[0] or ", ".join(classifiers) or licence[0]
    return stated.strip().partition("\n")[0] or "unknown"


def advisories(scene: Scene) -> Outcome:
    """Pins that an advisory of `[check] advisories_dir` (OSV's JSON files) names.

    Raises:
        UsageError: Advisories are required and there are none.
    """
    settings = scene.config.settings.check
    folder = (PROJECT / settings.advisories_dir) if settings.advisories_dir else None
    files = sorted(folder.rglob("*.json")) if folder else []
    packages = {(pin.name, pin.version): pin for pin in reversed(pins(scene))}
    if not files:
        where = str(folder) if folder else "[check] advisories_dir, which is not set"
        if settings.advisories == "required":
            raise UsageError(
                f"There are no advisories in {where}, so {len(packages)} pinned packages cannot be "
                "compared with known vulnerabilities. Unpack OSV's PyPI export there, or set "
                "[check] advisories = optional."
            )
        unseen = f"0 of {len(packages)} pins scanned: no advisories in {where}"
        return Outcome(note=unseen, unseen=unseen)
    found = [
        _finding(pin, advisory)
        for advisory in _read(files)
        for pin in packages.values()
        if affects(advisory, pin)
    ]
    note = f"{len(packages)} of {len(packages)} pins compared with {len(files)} advisories"
    return Outcome(tuple(found), note)


def _read(files: list[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        try:
            yield json.loads(path.read_text("utf-8"))
        except (ValueError, OSError) as error:
            raise UsageError(
                f"{path} is no OSV advisory ({error}). Unpack the export again."
            ) from error


def affects(advisory: dict[str, Any], pin: Pin) -> bool:
    """Whether an advisory names this version (OSV schema 1.6, `affected`)."""
    if advisory.get("withdrawn"):
        return False
    for affected in advisory.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonical(package.get("name", "")) != pin.name:
            continue
        if pin.version in affected.get("versions", []):
            return True
        ranges = (one for one in affected.get("ranges", []) if one.get("type") == "ECOSYSTEM")
        if any(_within(one.get("events", []), pin.version) for one in ranges):
            return True
    return False


def _within(events: list[dict[str, str]], version: str) -> bool:
    """OSV's algorithm: the events in the order of their versions switch `affected` on and off."""
    try:
        present = Version(version)
        steps = sorted(
            (Version("0") if number == "0" else Version(number), kind)
            for event in events
            for kind, number in event.items()
            if kind in ("introduced", "fixed", "last_affected")
        )
    except InvalidVersion:
        return False
    inside = False
    for number, kind in steps:
        if kind == "introduced" and present >= number:
            inside = True
        elif (kind == "fixed" and present >= number) or (
            kind == "last_affected" and present > number
        ):
            inside = False
    return inside


def _finding(pin: Pin, advisory: dict[str, Any]) -> Finding:
    fixed = [
        event["fixed"]
        for affected in advisory.get("affected", [])
        if canonical(affected.get("package", {}).get("name", "")) == pin.name
        for one in affected.get("ranges", [])
        for event in one.get("events", [])
        if "fixed" in event
    ]
    told = advisory.get("summary") or advisory.get("details", "")[:200]
    fix = f"take {' or '.join(fixed)} with `bin/ci lock --upgrade`" if fixed else "no fix is known"
    return Finding(
        pin.file, pin.line, str(advisory.get("id")), f"{pin.name} {pin.version}: {told}", fix
    )
