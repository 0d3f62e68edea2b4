"""Target `process`: a supervisor and two colours on this machine, without Docker."""

from collections.abc import Mapping
from typing import Any

from ci.config import Config
from ci.console import say
from ci.errors import RefusedError
from ci.rollout import client, placing
from ci.rollout.served import Served, ask_served, example, url_of, wait_served
from ci.rollout.targets import Done, Progress, Seen
from ci.systemd import unit_of
from ci.workspace import Workspace, digest_of
from serving import supervisor
from serving.host import releases
from serving.host.record import Release


class ProcessTarget:
    """One machine, whose supervisor owns the public socket."""

    def look(self, config: Config) -> list[Seen]:
        """This machine."""
        known = client.find_record(config)
        running = client.find_supervisor(known)
        who = f"process {running['pid']}" if running else None
        keeper = f"supervisor   {who or 'does not run; start it with `bin/ci serve`'}"
        return [Seen("", known, ask_served(known), keeper)]

    def images(self, workspace: Workspace) -> Mapping[str, str]:  # noqa: ARG002  the same question to all targets
        """None: the sources of this clone serve."""
        return {}

    def deploy(self, config: Config, workspace: Workspace, progress: Progress) -> list[Done]:
        """Copy the release to where this machine keeps its releases, and roll it out."""
        placed = placing.place(config, workspace)
        done = client.deploy(config, placed.digest, placed.commit, progress)
        known = client.find_record(config)
        if known and (removed := placing.prune(config.environment_state(), known)):
            names = ", ".join(map(str, removed))
            progress({"step": "prune", "what": f"removed from the host: releases {names}"})
        return [Done.told(done)]

    def rollback(self, config: Config, goal: Release, progress: Progress) -> list[Done]:
        """Go back to a release that lies whole on this machine."""
        _check_whole(config, goal)
        return [Done.told(client.rollback(config, goal.digest, progress))]

    def wake(self, config: Config, progress: Progress) -> None:
        """Start the supervisor where none runs; it follows the record."""
        known = client.ensure_supervisor(config)
        live = known.live_colour
        if live:
            progress({"step": "wake", "what": f"waiting for release {live.model_version}"})
            wait_served(config, live.digest)

    def example(self, config: Config, served: Served) -> dict[str, Any]:
        """Ask for the shopper with the newest event."""
        return example(config.environment_state(), served)

    def serve(self, config: Config, *, stop: bool) -> int:
        """Run the supervisor here until Ctrl-C, or end the one in the background."""
        known = client.find_record(config)
        running = client.find_supervisor(known)
        if known is None:
            return 0
        if stop:
            if running and client.is_kept(running):
                unit = unit_of(config, config.options.environment)
                raise RefusedError(
                    f"systemd would start it again. Run `sudo systemctl stop {unit}`."
                )
            if running:
                client.leave(known, "stop")
            say(
                f"nothing serves at {url_of(known)} now; `bin/ci serve` starts the live release "
                "again"
            )
            return 0
        if running:
            say(
                f"release {running['live']} is served at {url_of(known)} already, "
                f"by process {running['pid']} in the background"
            )
            return 0
        if known.live_colour is None:
            raise RefusedError("No release is live: the last one failed. Run `bin/ci run`.")
        say(f"serving release {known.live_colour.model_version} at {url_of(known)}; Ctrl-C ends it")
        return supervisor.main(client.supervisor_arguments(config))


def _check_whole(config: Config, target: Release) -> None:
    """See that the host still has the release as it was verified."""
    home = config.environment_state()
    try:
        bundle = releases.load(home, target.digest).bundle(home)
    except releases.ReleaseError as error:
        raise RefusedError(
            f"Release {target.model_version} is not on this host any more ({error}). "
            "Make it again with `bin/ci run` on its commit."
        ) from error
    if (seen := digest_of(bundle)) != target.digest:
        raise RefusedError(
            f"Release {target.model_version} at {bundle} was altered: its digest is {seen}, not "
            f"{target.digest}. Restore it from a backup, or name another with --to."
        )
