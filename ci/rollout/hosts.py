"""Target `hosts`: a fleet of Docker hosts, reached by Ansible over SSH.

Each host keeps its own record, which is the truth; what is known here is what the hosts tell.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ci import registry
from ci.config import Config
from ci.errors import (
    PushcartError,
    RefusedError,
    RolloutUndoneError,
    UnavailableError,
    UsageError,
)
from ci.rollout import ansible
from ci.rollout.accountable import accountable, as_options
from ci.rollout.ansible import Outcome, Play
from ci.rollout.local_host import REFUSALS
from ci.rollout.ordering import images_of, order_of
from ci.rollout.served import Served
from ci.rollout.targets import Done, Progress, Seen
from ci.workspace import Workspace
from serving.host import record
from serving.host.record import Release
from serving.host.releases import Placed

PROGRAM: Final = "/opt/pushcart/pushcart-host"
ASKED, DEPLOYED, RETURNED = "Ask the host program", "Start, verify and switch", "Go back"
WAKE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Rollout:
    """One change of release of the fleet, as the hosts' records will name it."""

    key: str
    commit: str = ""

    def variables(self, config: Config, reason: str = "") -> dict[str, Any]:
        """The variables of the role `release`."""
        told = {"commit": self.commit, "rollout": secrets.token_hex(6), "reason": reason}
        return {
            "release_program": program(config),
            "release_key": self.key,
            "release_arguments": as_options({**accountable(config), **told}),
        }


def program(config: Config) -> list[str]:
    """How the host program is called for the chosen environment."""
    names = ["--shop", config.shop.name, "--environment", config.options.environment]
    return [PROGRAM, *names]


class HostsTarget:
    """Docker hosts, each with two colours behind a HAProxy."""

    def look(self, config: Config) -> list[Seen]:
        """Ask every host for its record, what runs there and what its public port answers."""
        return [_seen(outcome) for outcome in self._ask(config).values()]

    def _ask(self, config: Config, *hosts: str) -> dict[str, Outcome]:
        """Ask these hosts, or all of them."""
        variables = {"release_program": program(config)}
        play = Play("status.yml", variables, limit=hosts, is_kept=False)
        return ansible.run(config, play, None)

    def images(self, workspace: Workspace) -> Mapping[str, str]:
        """The images of the release at hand, as hosts pull them."""
        return images_of(workspace)

    def deploy(self, config: Config, workspace: Workspace, progress: Progress) -> list[Done]:
        """Roll the release out in batches; where a host fails, the switched ones go back."""
        registry.require_shared(config)
        placed, order = order_of(config, workspace)
        _require_pushed(config, placed)
        rollout = Rollout(placed.key, placed.commit)
        variables = rollout.variables(config)
        play = Play("release.yml", variables, secrets={"release_order": order})
        outcomes = ansible.run(config, play, progress)
        failed = [one for one in outcomes.values() if one.trouble]
        if failed:
            back = self._give_back(config, rollout, outcomes.values(), failed, progress)
            raise _error(config, failed, back)
        return [Done.told(one.answers[DEPLOYED], one.host) for one in outcomes.values()]

    def _give_back(
        self,
        config: Config,
        rollout: Rollout,
        outcomes: Iterable[Outcome],
        failed: Sequence[Outcome],
        progress: Progress,
    ) -> list[Outcome]:
        """Undo the release on the hosts that this run switched."""
        switched = [
            one.host
            for one in outcomes
            if not one.trouble and not one.answers[DEPLOYED].get("already_live", False)
        ]
        if not switched:
            return []
        reason = f"{failed[0].host}: {failed[0].trouble.splitlines()[0]}"
        progress({"step": "undo", "what": f"{', '.join(switched)}, because of {failed[0].host}"})
        play = Play("undo.yml", rollout.variables(config, reason), limit=switched)
        return list(ansible.run(config, play, progress).values())

    def rollback(self, config: Config, goal: Release, progress: Progress) -> list[Done]:
        """Go back on all hosts at once; a host that cannot keeps what it has, and is named."""
        play = Play("rollback.yml", Rollout(goal.key).variables(config))
        outcomes = ansible.run(config, play, progress)
        if failed := [one for one in outcomes.values() if one.trouble]:
            went = [one.host for one in outcomes.values() if not one.trouble]
            raise _error(config, failed, [], f"{', '.join(went)} went back." if went else "")
        return [Done.told(one.answers[RETURNED], one.host) for one in outcomes.values()]

    def wake(self, config: Config, progress: Progress) -> None:
        """Have every host put itself right by its record, and wait until all of them answer."""
        play = Play("repair.yml", {"release_program": program(config)})
        outcomes = ansible.run(config, play, progress)
        if failed := [one for one in outcomes.values() if one.trouble]:
            raise _error(config, failed, [])
        deadline = time.monotonic() + config.serving.start_timeout_seconds + WAKE_SECONDS
        while silent := [one for one in self.look(config) if one.live and not one.answers]:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{silent[0].host} does not answer as its record says, although its release "
                    f"was started. See `docker ps` there, and `bin/ci status`."
                )

    def example(self, config: Config, served: Served) -> dict[str, Any]:
        """What a host's public port recommends the release's example shopper."""
        answer = self._ask(config, served.host)[served.host].answers.get(ASKED, {})
        example: dict[str, Any] | None = answer.get("example")
        if example is None:
            raise RolloutUndoneError(
                f"{served.host} gives no recommendations at its public port. See `bin/ci status`."
            )
        return example

    def serve(self, config: Config, *, stop: bool) -> int:
        """Hosts serve by themselves.

        Raises:
            UsageError: Always; the message tells what there is instead.
        """
        raise UsageError(
            f"The hosts of {config.options.environment} serve by themselves, also after a reboot. "
            "`bin/ci status` tells what; `systemctl stop pushcart-proxy-…` on a host closes its "
            "door."
            if not stop
            else "`bin/ci serve --stop` ends what runs on this machine alone. Close a host's door "
            f"there: `systemctl stop pushcart-proxy-{config.shop.name}-"
            f"{config.options.environment}`."
        )


def _require_pushed(config: Config, placed: Placed) -> None:
    """Images by id are of this machine's engine alone.

    Raises:
        UsageError: Hosts could not pull one.
    """
    if not all("@" in reference for reference in placed.images.values()):
        raise UsageError(
            "release.json names an image that was not pushed, and hosts cannot pull it. Run "
            f"`bin/ci image --environment {config.options.environment}` where a Docker engine runs."
        )


def _seen(outcome: Outcome) -> Seen:
    if outcome.trouble:
        return Seen(outcome.host, None, trouble=outcome.trouble)
    answer = outcome.answers[ASKED]
    known = record.parse(json.dumps(answer["record"]))
    served = None
    if answer["served"]:
        url = f"http://{outcome.host}:{known.port}"
        served = Served(**answer["served"], url=url, host=outcome.host)
    running = [name for name, runs in answer["running"].items() if runs]
    keeper = f"containers   {', '.join(running) or 'none'} of {', '.join(answer['running'])}"
    return Seen(outcome.host, known, served, keeper if answer["running"] else "containers   none")


def _error(
    config: Config, failed: Sequence[Outcome], back: Sequence[Outcome], also: str = ""
) -> PushcartError:
    """What a failed play ends with: a refusal outweighs an undone rollout, and that a silence."""
    lines = [f"{one.host}: {one.trouble}" for one in failed]
    lines += [f"{one.host} was given back what it had before." for one in back if not one.trouble]
    lines += [f"{one.host} could not be given back: {one.trouble}" for one in back if one.trouble]
    lines += [also] if also else []
    lines.append(f"The logs are in {config.environment_state() / 'logs'}.")
    kinds = {_kind(one) for one in failed}
    order = (RefusedError, RolloutUndoneError, UnavailableError, PushcartError)
    kind = next(kind for kind in order if kind in kinds)
    return kind("\n".join(lines))


def _kind(outcome: Outcome) -> type[PushcartError]:
    if outcome.is_unreachable:
        return UnavailableError
    return REFUSALS.get(outcome.refusal, PushcartError)
