"""`bin/ci hosts try`: hosts on this machine for a person to release to, to break and to look at."""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from ci.config import Config
from ci.console import say
from ci.errors import UnavailableError, UsageError
from ci.rehearsal.engine import address, docker_engine
from ci.rehearsal.hosts import Rehearsal, rehearsal_hosts
from ci.rehearsal.registry import container_registry, trusted
from ci.rehearsal.shop import ENVIRONMENT, Shop, open_shop
from ci.services import find_program, missing_programs

NEEDED = ("docker", "debian", "ssh", "registry")
MOST_HOSTS = 9
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(_: Config, count: int = 2) -> None:
    """Run hosts and a registry until Ctrl-C, then remove everything.

    Args:
        count: How many hosts.

    Raises:
        UsageError: So many hosts are none, or too many.
        UnavailableError: A program is missing, this is not root, or a host does not come up.
    """
    if not 1 <= count <= MOST_HOSTS:
        raise UsageError(f"--count {count}: a rehearsal has 1 to {MOST_HOSTS} hosts.")
    require_programs()
    with contextlib.suppress(KeyboardInterrupt), ExitStack() as stack:
        stack.callback(say, "removed   hosts, registry, engine and the rehearsal's shop")
        stack.enter_context(interrupted_once())
        say(f"hosts     starting {count} (seconds; the first time on a machine about a minute)")
        rehearsal, shop = stack.enter_context(_rehearsal(count))
        say(next_steps(rehearsal, shop))
        signal.pause()


def require_programs() -> None:
    """Refuse to begin without what a rehearsal is made of.

    Raises:
        UnavailableError: Something is missing; the message names the command that installs it.
    """
    lacking = {name: missing_programs(name) for name in NEEDED if missing_programs(name)}
    if lacking:
        programs = ", ".join(sorted(set().union(*lacking.values())))
        raise UnavailableError(
            f"Hosts to try cannot be started here, because these are not installed: {programs}. "
            f"Run: bin/ci services {' '.join(lacking)}"
        )


@contextmanager
def _rehearsal(count: int) -> Iterator[tuple[Rehearsal, Shop]]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pushcart-try-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        engine = stack.enter_context(docker_engine(folder / "engine"))
        rehearsal = stack.enter_context(rehearsal_hosts(engine, count, folder))
        registry = stack.enter_context(container_registry(rehearsal.gateway))
        stack.enter_context(trusted(registry))
        yield rehearsal, open_shop(rehearsal, registry, address(folder / "engine"), folder)


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Let the first signal to end be a KeyboardInterrupt, and no other disturb the removal."""

    def end(_number: int, _frame: FrameType | None) -> None:
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt

    kept = {ending: signal.signal(ending, end) for ending in ENDINGS}
    try:
        yield
    finally:
        for ending, handler in kept.items():
            signal.signal(ending, handler)


def cli_hint() -> str:
    """How to get the command `docker`, where it is not here: Debian 13 packs it apart."""
    return "" if find_program("docker") else " (needs `apt-get install docker-cli`)"


def next_steps(rehearsal: Rehearsal, shop: Shop) -> str:
    """What a person can do now, as commands to copy."""
    ci = f"bin/ci --config {shop.settings}"
    on = f"--environment {ENVIRONMENT}"
    first, *_ = rehearsal.hosts
    hosts = [f"  {host.name}  127.0.0.1:{host.shopper_port}" for host in rehearsal.hosts]
    return "\n".join(
        [
            "ready     and gone after Ctrl-C here. Shoppers ask",
            *hosts,
            "",
            "In another terminal, as the same user:",
            f"  . {shop.variables}",
            f"  {ci} hosts prepare {on}",
            f"  {ci} --set model.name=repeat run {on} --first-release --single-machine",
            f"  curl -s http://127.0.0.1:{first.shopper_port}/v1/users/u1/recommendations",
            "",
            "Then a better model, a look, and the way back:",
            f"  {ci} run {on} --single-machine",
            f"  {ci} status {on}",
            f"  {ci} rollback {on}",
            "",
            f"Break {first.name}, also while a release is on its way{cli_hint()}:",
            f"  docker kill {first.container}     # its power is cut; `docker start` boots it",
            f"  docker pause {first.container}    # it hangs; `docker unpause` lets it go on",
            f"  ssh -F {shop.ssh_config} {first.name}",
            "",
        ]
    )
