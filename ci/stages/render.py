"""Stage `render`: the deployment manifests of every environment, from templates."""

from collections.abc import Callable
from typing import Any

from ci import systemd
from ci.config import PROJECT, TASK, Config
from ci.kubernetes import rendering
from ci.rollout.proxy_container import INSIDE, MAP, SOCKET
from ci.templating import fill
from ci.workspace import Workspace

TEMPLATES = PROJECT / "infra" / "templates"
# What the model server reads; baked into its image, so equal in all environments.
MODEL_SERVER = ("models.config", "batching_parameters.txt", "monitoring.config")
# What each target needs beside the images: path in the environment's folder → template.
BY_TARGET: dict[str, Callable[[Config, str], dict[str, str]]] = {
    "process": lambda config, environment: {
        f"systemd/{systemd.unit_of(config, environment)}": "systemd.service"
    },
    "compose": lambda _, __: {"haproxy.cfg": "haproxy.cfg"},
    "hosts": lambda _, __: {"haproxy.cfg": "haproxy.cfg"},
    "kubernetes": lambda _, environment: rendering.files(environment),
}
EVERYWHERE = ("0.0.0.0", "*", "::", "")  # noqa: S104  what a person may have written
WITH_LOOPBACK = ("127.0.0.1", *EVERYWHERE)


def run(config: Config, workspace: Workspace) -> str:
    """Write `manifests/<environment>/` for every environment of the configuration."""
    exported = workspace.read_json("bundle.json", "export")
    card = workspace.read_json(f"{exported['path']}/card.json", "export")
    files = 0
    with workspace.new_folder("../manifests") as folder:
        for name in config.settings.environments:
            for path, text in manifests(config, name, exported["model_version"], card).items():
                target = folder / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
                files += 1
    return f"{files} files for {', '.join(config.settings.environments)}"


def manifests(
    config: Config, environment: str, model_version: int, card: dict[str, Any]
) -> dict[str, str]:
    """The rendered files of one environment by their path in its folder.

    Args:
        config: All settings.
        environment: Name of the environment.
        model_version: Number of the bundle.
        card: The bundle's card.
    """
    target = config.settings.environments[environment].target
    wanted = {f"tfs/{name}": name for name in MODEL_SERVER}
    wanted |= BY_TARGET[target](config, environment)
    return fill(TEMPLATES, wanted, values(config, environment, model_version, card))


def values(
    config: Config, environment: str, model_version: int, card: dict[str, Any]
) -> dict[str, Any]:
    """What the templates of an environment may name.

    Args:
        config: All settings.
        environment: Name of the environment.
        model_version: Number of the bundle.
        card: The bundle's card.
    """
    target, serving = config.settings.environments[environment].target, config.serving
    of_target: dict[str, Any] = {}
    if target == "kubernetes":
        of_target = rendering.values(config, environment, model_version)
    if target == "process":
        of_target = systemd.values(config, environment)
    return {
        **door_values(config, environment),
        "task": TASK,
        "model_version": model_version,
        "batch_sizes": card["batch_sizes"],
        "batch_timeout_micros": serving.batch_timeout_micros,
        "batch_threads": serving.batch_threads,
        **of_target,
    }


def door(config: Config, environment: str) -> str:
    """HAProxy's configuration for an environment; knows of no release."""
    name = "haproxy.cfg"
    return fill(TEMPLATES, {name: name}, door_values(config, environment))[name]


def door_values(config: Config, environment: str) -> dict[str, Any]:
    """What the proxy's configuration is rendered from."""
    settings = config.settings.environments[environment]
    port = settings.port
    inside = settings.target == "compose"  # the proxy is a container, on this machine's network
    unit = f"pushcart-{config.shop.name}-{environment}"
    # A deploy to this machine asks its loopback address, whatever shoppers use.
    more = f",127.0.0.1:{port}" if inside and settings.bind not in WITH_LOOPBACK else ""
    return {
        "shop": config.shop.name,
        "environment": environment,
        "port": port,
        "bind": f"{settings.bind}:{port}{more}",
        "proxy_socket": f"{INSIDE}/{SOCKET}" if inside else f"/run/{unit}/proxy.sock",
        "proxy_map": f"{INSIDE}/{MAP}" if inside else f"/var/lib/{unit}/live.map",
        "colours": {
            colour: f"127.0.0.1:{port + place}"
            for place, colour in enumerate(("blue", "green"), start=1)
        },
    }
