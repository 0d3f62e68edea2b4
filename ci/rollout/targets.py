"""Where a release can go: one entry a target, and the same few questions to each of them."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from ci.config import Config
from ci.errors import UsageError
from ci.rollout.served import Served
from ci.workspace import Workspace
from serving.host.record import Colour, Record, Release

# Hears of each step: {"step": …, "what": …}, and "host" where there are several.
Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Seen:
    """One host of an environment as it tells itself.

    Attributes:
        host: Its name; "" is this machine.
        record: Its own record; None where nothing was ever released.
        served: The release that answers at its public endpoint; None when none does.
        keeper: Who keeps the release running there, as a line for people.
        trouble: Why the host cannot be asked; nothing else is known then.
    """

    host: str
    record: Record | None
    served: Served | None = None
    keeper: str = ""
    trouble: str = ""

    @property
    def live(self) -> Colour | None:
        """The colour that has the traffic by the record."""
        return self.record.live_colour if self.record else None

    @property
    def answers(self) -> bool:
        """Whether the endpoint answers as the record says."""
        live = self.live
        return bool(live and self.served and self.served.digest == live.digest)


@dataclass(frozen=True)
class Done:
    """How a change of release ended well on one host."""

    host: str
    colour: str
    seconds: float
    failed_requests: int
    warm: bool = False

    @classmethod
    def told(cls, answer: Mapping[str, Any], host: str = "") -> Self:
        """What a host answered; of a release that was live already, nothing changed."""
        return cls(
            host=host,
            colour=str(answer.get("colour", "")),
            seconds=float(answer.get("seconds", 0.0)),
            failed_requests=int(answer.get("failed_requests", 0)),
            warm=bool(answer.get("warm", False)),
        )


class Target(Protocol):
    """What a rollout needs of the place it goes to."""

    def look(self, config: Config) -> list[Seen]:
        """Every host of the environment, as it is now; a host in trouble is among them.

        Raises:
            UsageError: A record cannot be read.
        """

    def images(self, workspace: Workspace) -> Mapping[str, str]:
        """The images that the release at hand is made of, by digest; empty where it needs none."""

    def deploy(self, config: Config, workspace: Workspace, progress: Progress) -> list[Done]:
        """Roll the release at hand out; what serves is untouched or restored when it fails.

        Raises:
            RolloutUndoneError: It was not healthy; what served before serves.
            RefusedError: A signature or a digest forbids it.
            UnavailableError: A host, the engine or the registry of images does not answer.
        """

    def rollback(self, config: Config, goal: Release, progress: Progress) -> list[Done]:
        """Go back to a release that the hosts still have.

        Raises:
            RolloutUndoneError: It was not healthy; what served before serves.
            RefusedError: It is not on a host any more, or not whole.
            UnavailableError: A host does not answer.
        """

    def wake(self, config: Config, progress: Progress) -> None:
        """Bring back what the records say is live, and wait until it answers.

        Raises:
            UnavailableError: It does not.
        """

    def example(self, config: Config, served: Served) -> dict[str, Any]:
        """One shopper's recommendations, asked at a host's public endpoint as a shop would.

        Raises:
            RolloutUndoneError: The endpoint does not answer as the release must.
        """

    def serve(self, config: Config, *, stop: bool) -> int:
        """`bin/ci serve`: serve in the foreground, or tell who does; with `stop`, end all."""


TARGETS: Final = {
    "process": "ci.rollout.process:ProcessTarget",
    "compose": "ci.rollout.compose:ComposeTarget",
    "hosts": "ci.rollout.hosts:HostsTarget",
}


def target_of(config: Config) -> Target:
    """The target of the chosen environment; its module is imported only now.

    Raises:
        UsageError: Nothing can be rolled out to that target.
    """
    name = config.environment.target
    if name == "kubernetes":
        raise UsageError(
            f"[environments.{config.options.environment}] is rolled out by its cluster: "
            f"`bin/ci manifests --environment {config.options.environment} | kubectl apply "
            "--filename=-`."
        )
    module, _, kind = TARGETS[name].partition(":")
    target: Target = getattr(importlib.import_module(module), kind)()
    return target
