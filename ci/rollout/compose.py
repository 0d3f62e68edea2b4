"""Target `compose`: two colours as containers of this machine, behind a HAProxy in another.

It is `pushcart-host` that changes releases, the program that target hosts run, with settings for
this machine: the environment's state folder is its home.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ci.config import Config
from ci.console import say
from ci.errors import RefusedError, RolloutUndoneError, UnavailableError, UsageError
from ci.releasing.bases import proxy_image
from ci.releasing.signing import keys_folder
from ci.rollout import ledger, local_host
from ci.rollout.accountable import accountable, as_options
from ci.rollout.client import find_record
from ci.rollout.ordering import images_of, order_of
from ci.rollout.proxy_container import ProxyContainer
from ci.rollout.served import Served, ask_served, example, url_of, wait_served
from ci.rollout.targets import Done, Progress, Seen
from ci.stages import render
from ci.workspace import Workspace, write_atomically
from serving.host.command import Settings
from serving.host.containers import DockerError, is_running
from serving.host.record import Release

SETTINGS = "host.json"


class ComposeTarget:
    """One machine with a Docker engine: this one."""

    def look(self, config: Config) -> list[Seen]:
        """This machine."""
        known = find_record(config)
        return [Seen("", known, ask_served(known), f"proxy        {_keeper(config)}")]

    def images(self, workspace: Workspace) -> Mapping[str, str]:
        """The model server's and the gateway's, by id, or by digest where they were pushed."""
        return images_of(workspace)

    def deploy(self, config: Config, workspace: Workspace, progress: Progress) -> list[Done]:
        """Have the release accepted, see to the proxy, and have it rolled out."""
        _check_port(config)
        placed, order = order_of(config, workspace)
        _ask(config, progress, "accept", stdin=order)
        _ensure_proxy(config, progress)
        words = [f"--key={placed.key}", f"--commit={placed.commit}"]
        done = _ask(config, progress, "deploy", *words, *as_options(accountable(config)))
        if removed := done.get("removed"):
            names = ", ".join(map(str, removed))
            progress({"step": "prune", "what": f"removed from this machine: releases {names}"})
        return [Done.told(done)]

    def rollback(self, config: Config, goal: Release, progress: Progress) -> list[Done]:
        """Go back to a release whose images are still on this machine."""
        _check_port(config)
        _ensure_proxy(config, progress)
        words = [f"--key={goal.key}", *as_options(accountable(config))]
        return [Done.told(_ask(config, progress, "rollback", *words))]

    def wake(self, config: Config, progress: Progress) -> None:
        """Start what is missing of the proxy and of the colour that the record names."""
        known = find_record(config)
        live = known.live_colour if known else None
        if live is None:
            return
        progress({"step": "wake", "what": f"waiting for release {live.model_version}"})
        _ensure_proxy(config, progress)
        _ask(config, progress, "repair")
        wait_served(config, live.digest)

    def example(self, config: Config, served: Served) -> dict[str, Any]:
        """Ask for the shopper with the newest event."""
        known = find_record(config)
        live = known.live_colour if known else None
        return example(config.environment_state(), served, live.key if live else "")

    def serve(self, config: Config, *, stop: bool) -> int:
        """Start what is missing; containers need nobody in front. With `stop`, end all."""
        known = find_record(config)
        if known is None:
            return 0
        if stop:
            with _engine():
                _proxy(config).stop()
            _ask(config, lambda _: None, "stop")
            say(
                f"nothing serves at {url_of(known)} now; `bin/ci serve` starts the live release "
                "again"
            )
            return 0
        if known.live_colour is None:
            raise RefusedError("No release is live: the last one failed. Run `bin/ci run`.")
        served = ask_served(known)
        if served is None or served.digest != known.live_colour.digest:
            self.wake(config, lambda news: say(f"{news['step']}: {news['what']}"))
        say(
            f"release {known.live_colour.model_version} is served at {url_of(known)} by "
            "containers, which come back after a reboot; `bin/ci serve --stop` ends them"
        )
        return 0


def _proxy(config: Config) -> ProxyContainer:
    name = f"{config.shop.name}-{config.options.environment}-proxy"
    return ProxyContainer(name, config.environment_state() / "proxy", config.environment.port)


def _keeper(config: Config) -> str:
    name = _proxy(config).name
    try:
        return f"container {name}" if is_running(name) else f"{name} does not run; `bin/ci serve`"
    except DockerError as error:
        return f"unknown: {error}"


def _settings(config: Config) -> Path:
    """Write what `pushcart-host` must know of this environment; returns the file."""
    proxy = _proxy(config)
    settings = Settings(
        shop=config.shop.name,
        environment=config.options.environment,
        home=str(config.environment_state()),
        port=config.environment.port,
        keys=str(keys_folder(config)),
        proxy_socket=str(proxy.proxy.socket),
        proxy_map=str(proxy.proxy.map_file),
        proxy_map_name=proxy.proxy.map_name,
        builds_here=True,
        ledger=str(ledger.outbox(config)),
    )
    path = config.environment_state() / SETTINGS
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(settings), indent=2) + "\n")
    return path


def _ask(config: Config, progress: Progress, *words: str, stdin: str = "") -> dict[str, Any]:
    try:
        return local_host.ask(_settings(config), words, progress, stdin=stdin)
    except RolloutUndoneError as error:
        known = find_record(config)
        live = known.live_colour if known else None
        serves = f"release {live.model_version} serves on" if live else "no release serves"
        raise RolloutUndoneError(f"The rollout was undone, {serves}: {error}") from error


def _ensure_proxy(config: Config, progress: Progress) -> None:
    """See that the proxy runs as it is configured, and knows the live colour."""
    from ci.images import find_engine  # noqa: PLC0415  who only looks needs no Docker library

    engine = find_engine()
    if engine is None:
        raise UnavailableError(
            "No Docker engine answers. Start Docker, or set DOCKER_HOST to one of this machine."
        )
    container = _proxy(config)
    container.configure(render.door(config, config.options.environment))
    with _engine():
        image = proxy_image(engine, config.serving.proxy_image)
        if container.is_current(image):
            return
        progress({"step": "proxy", "what": f"{container.name} ({image})"})
        _ask(config, progress, "follow")  # before its first answer it must know the live colour
        container.start(image)


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    """Tells trouble with the engine as exit 4."""
    try:
        yield
    except DockerError as error:
        raise UnavailableError(f"{error}. See `docker info`.") from error


def _check_port(config: Config) -> None:
    """The port of what serves cannot be changed under it.

    Raises:
        UsageError: It serves at another one.
    """
    known = find_record(config)
    served = ask_served(known)
    if known and served and known.port != config.environment.port:
        raise UsageError(
            f"[environments.{config.options.environment}] port is {config.environment.port}, but "
            f"release {served.model_version} is served at {served.url}. Put {known.port} back, or "
            "end it first: `bin/ci serve --stop`, then `bin/ci serve`."
        )
