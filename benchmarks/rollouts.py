"""What a rollout costs shoppers, against a reload of HAProxy or nginx and a naive restart.

One run of about ten minutes with real servers, hosts and requests, all on loopback; clients never
ask twice, and every request is accounted for. Its two parts:

  switches  one release after another behind one door, by four ways in turns: seconds to move,
            failed requests, answers that went back to an older release, p50 and p99.
  hosts     deploys and rollbacks on two rehearsal hosts that are asked meanwhile: seconds, tasks
            of a host, failed requests, p99; and bytes and seconds of a model-only change by the
            registry against `docker save | ssh docker load`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import rollout_switches
from benchmarks.rollback import spread
from benchmarks.rollout_switches import Switches
from ci.config import PROJECT
from ci.console import complain, native_noise_in, say
from ci.errors import PushcartError, UnavailableError
from ci.rehearsal.trying import interrupted_once, require_programs
from ci.services import find_program, missing_programs

if TYPE_CHECKING:
    from benchmarks.rollout_fleet import Change, Deploy, Rollback

RESULTS = Path(__file__).parent / "results"
MODEL = ("20000", "50", "20")  # items, length, frequent: that of `benchmarks.embedded_server`
PARTS = ("switches", "hosts")
SWITCHES_A_ROUND = 4
QUICK = (2, 1)  # switches, times
EXAMPLES = """\
examples:
  python -m benchmarks.rollouts                    # all of it, and results/rollouts.{json,md}
  python -m benchmarks.rollouts --quick            # each thing once: does it run here?
  python -m benchmarks.rollouts --only switches    # needs neither root nor Docker

It installs nothing. What it needs:
  switches  bin/ci services haproxy; apt-get install --no-install-recommends nginx-light
            (the package starts one: systemctl disable --now nginx)
  hosts     root; bin/ci services docker debian ssh registry

Ctrl-C ends all that it started. Only a full run is kept in results/.
"""


@dataclass(frozen=True)
class Fleet:
    """What was measured on the hosts."""

    deploys: "list[Deploy]"
    rollbacks: "list[Rollback]"
    changes: "list[Change]"


def require(parts: Sequence[str]) -> None:
    """Refuse to begin without what the wanted parts are made of.

    Raises:
        UnavailableError: Something is missing; the message names the command that installs it.
    """
    if "switches" in parts and missing_programs("haproxy"):
        raise UnavailableError("haproxy is not installed. Run: bin/ci services haproxy")
    if "switches" in parts and find_program("nginx") is None:
        raise UnavailableError(
            "nginx is not installed; only this benchmark needs it. Run: apt-get install "
            "--no-install-recommends nginx-light (and, as the package starts one: systemctl "
            "disable --now nginx). Or leave it out: --only hosts"
        )
    if "hosts" in parts:
        require_programs()
        if os.geteuid() != 0:
            raise UnavailableError(
                "The two hosts are containers of a Docker engine of our own, which needs root. "
                "Run it as root, or leave the hosts out: --only switches"
            )


def measure_hosts(folder: Path, bundle: Path, times: int) -> Fleet:
    """Deploys, rollbacks and model-only changes."""
    with native_noise_in(folder / "noise.log"):
        from benchmarks import rollout_fleet  # noqa: PLC0415  TensorFlow takes seconds

    return Fleet(*rollout_fleet.measure(folder / "fleet", bundle, times, tell))


def tell(line: str) -> None:
    """Say how far it is."""
    say(f"{time.strftime('%H:%M:%S')}  {line}")


def switches_table(measured: Sequence[Switches]) -> str:
    """A row a way."""
    lines = [
        "| way | switches | first new answer, s | last old answer, s | failed | gone back "
        "| p50 / p99 before, ms | p50 / p99 at the switch, ms | p99 ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        before, at = (
            " / ".join(f"{ms:.1f}" for ms in two) for two in (one.quiet_ms, one.switch_ms)
        )
        lines.append(
            f"| {one.way} | {one.switches} | {spread(one.first_seconds, 3)} "
            f"| {spread(one.last_seconds, 3)} | {one.failed:,} of {one.requests:,} "
            f"| {one.gone_back} | {before} | {at} | {one.switch_ms[1] / one.quiet_ms[1]:.1f} |"
        )
    return "\n".join(lines)


def hosts_table(fleet: Fleet) -> str:
    """A row a kind of command."""
    deploys, rollbacks = fleet.deploys, fleet.rollbacks
    a_host = spread([seconds for one in deploys for seconds in one.host_seconds])
    p99 = " / ".join(
        f"{median(getattr(one, name) for one in deploys):.0f}"
        for name in ("quiet_p99_ms", "whole_p99_ms", "switch_p99_ms")
    )
    tasks = max(one.tasks for one in deploys)
    failed, asked, back = (
        sum(getattr(one, name) for one in deploys) for name in ("failed", "requests", "gone_back")
    )
    lines = [
        "| command | times | seconds | seconds to all traffic | tasks a host | seconds a host "
        "| failed | gone back | p99 quiet / whole / at the switch, ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        f"| deploy | {len(deploys)} | {spread([one.seconds for one in deploys])} | | {tasks} "
        f"| {a_host} | {failed} of {asked:,} | {back} | {p99} |",
    ]
    failed, asked = (
        sum(getattr(one, name) for one in rollbacks) for name in ("failed", "requests")
    )
    lines.append(
        f"| rollback, warm | {len(rollbacks)} "
        f"| {spread([one.command_seconds for one in rollbacks])} "
        f"| {spread([one.all_traffic_seconds for one in rollbacks])} | | "
        f"| {failed} of {asked:,} | | |"
    )
    return "\n".join(lines)


def changes_table(changes: "Sequence[Change]") -> str:
    """A row a way to bring a model-only change to a host."""
    lines = ["| model-only change by | MB to a host | seconds a host | seconds once |"]
    lines += ["|---|---:|---:|---:|"]
    pulled, saved = (
        median(getattr(one, name) for one in changes) / 1e6 for name in ("pull_bytes", "save_bytes")
    )
    ledger = median(one.ledger_bytes for one in changes) / 1e6
    return "\n".join(
        [
            *lines,
            f"| registry ({ledger:.1f} MB in the ledger, before compression) | {pulled:.1f} "
            f"| {spread([one.pull_seconds for one in changes])} "
            f"| {spread([one.push_seconds for one in changes])} (push) |",
            f"| `docker save \\| ssh docker load` | {saved:.1f} "
            f"| {spread([one.load_seconds for one in changes])} | |",
        ]
    )


def tables(switches: Sequence[Switches], fleet: Fleet | None) -> str:
    """All that was measured, as Markdown."""
    parts = [switches_table(switches)] if switches else []
    parts += [hosts_table(fleet), changes_table(fleet.changes)] if fleet else []
    return "\n\n".join(parts) + "\n"


def measure(options: argparse.Namespace) -> str:
    """Measure the wanted parts; keep a full run; returns the tables."""
    require(options.only)
    switches, times = QUICK if options.quick else (SWITCHES_A_ROUND, options.times)
    rounds = 1 if options.quick else max(1, round(options.switches / SWITCHES_A_ROUND))
    measured, fleet = [], None
    with ExitStack() as stack:
        stack.enter_context(interrupted_once())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pushcart-bench-")))
        tell(f"a model of {int(MODEL[0]):,} items is exported")
        bundle = export(folder / "bundle" / "1")
        if "switches" in options.only:
            measured = rollout_switches.measure(folder, bundle, switches, rounds, tell)
        if "hosts" in options.only:
            (folder / "fleet").mkdir()
            fleet = measure_hosts(folder, bundle, times)
    text = tables(measured, fleet)
    if fleet and measured and not options.quick:
        keep(text, measured, fleet)
    return text


def export(bundle: Path) -> Path:
    """The bundle that all releases are made of."""
    command = [sys.executable, "-m", "benchmarks.serving_bundle", str(bundle), *MODEL]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"The model cannot be exported:\n{done.stderr[-2000:]}")
    return bundle


def keep(text: str, measured: Sequence[Switches], fleet: Fleet) -> None:
    """Write `results/rollouts.json` and `.md`."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    content = {"machine": machine, "switches": [asdict(one) for one in measured], **asdict(fleet)}
    (RESULTS / "rollouts.json").write_text(json.dumps(content, indent=2) + "\n")
    (RESULTS / "rollouts.md").write_text(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and keep them where all was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--switches", type=int, default=16, help="of each way, four a round (%(default)s)"
    )
    parser.add_argument(
        "--times", type=int, default=3, help="deploys, rollbacks and changes (%(default)s)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help="some of the parts"
    )
    parser.add_argument("--quick", action="store_true", help="each thing once; keeps no results")
    options = parser.parse_args(argv)
    if min(options.switches, options.times) < 1:
        parser.error("--switches and --times are numbers from 1 on")
    try:
        print(f"\n{measure(options)}")
    except KeyboardInterrupt:
        complain("Ended early; all that was started is gone.")
        return 130
    except PushcartError as error:
        complain(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
