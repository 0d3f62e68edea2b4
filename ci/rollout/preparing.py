"""`bin/ci hosts prepare`: makes the hosts of an environment ready for releases, once and again."""

from typing import Any

from ci.config import Config
from ci.console import say
from ci.errors import PushcartError, RefusedError, UnavailableError, UsageError
from ci.releasing.signing import keys_folder
from ci.rollout import ansible, host_program
from ci.rollout.ansible import Outcome, Play
from ci.rollout.commands import progress
from ci.rollout.ordering import registry_host
from ci.stages.render import EVERYWHERE, door, door_values
from serving.host.host import LOOPBACK
from serving.host.statement import StatementError, trusted_keys


def prepare(config: Config, *, check: bool = False) -> None:
    """Install the engine, the proxy, the host program and the public keys; idempotent.

    Args:
        config: Names the environment.
        check: Only tell what would change.

    Raises:
        UsageError: The environment has no hosts, or no key could release to them.
        UnavailableError: A host cannot be reached.
        RefusedError: The keys contradict each other.
        PushcartError: A host could not be made ready.
    """
    play = Play(
        "prepare.yml", _variables(config), {"host_program": host_program.pack()}, is_check=check
    )
    say(f"prepare   {config.options.environment}{', only looking' if check else ''}")
    outcomes = ansible.run(config, play, progress)
    for outcome in outcomes.values():
        _tell(outcome, check=check)
    failed = [one for one in outcomes.values() if one.trouble]
    if not failed:
        return
    kind = UnavailableError if any(one.is_unreachable for one in failed) else PushcartError
    raise kind("\n".join(f"{one.host}: {one.trouble}" for one in failed))


def _tell(outcome: Outcome, *, check: bool) -> None:
    if outcome.trouble:
        return
    names = ", ".join(outcome.changed)
    verb = "would change" if check else "changed"
    say(f"{'':<9} {outcome.host}: {f'{verb}: {names}' if names else 'nothing to change'}")


def _variables(config: Config) -> dict[str, Any]:
    place, name = config.environment, config.options.environment
    if place.target != "hosts":
        raise UsageError(
            f"[environments.{name}] target = {place.target!r} has no hosts to prepare; set "
            'target = "hosts".'
        )
    if not config.images.registry:
        raise UsageError(
            'Hosts pull images, but [images] registry is "". Set it to where images are pushed, '
            'e.g. "registry.example.com/shop".'
        )
    folder = keys_folder(config)
    try:
        trusted_keys(folder)
    except StatementError as error:
        raise RefusedError(f"These keys cannot be placed: {error}") from error
    values = door_values(config, name)
    home = f"/var/lib/pushcart-{config.shop.name}-{name}"
    return {
        "host_shop": config.shop.name,
        "host_environment": name,
        "host_settings": {
            "shop": config.shop.name,
            "environment": name,
            "home": home,
            "port": place.port,
            "address": LOOPBACK if place.bind in EVERYWHERE else place.bind,
            "keys": f"/etc/pushcart/{config.shop.name}-{name}/keys",
            "proxy_socket": values["proxy_socket"],
            "proxy_map": values["proxy_map"],
        },
        "host_keys": sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.pub")),
        "host_keys_folder": str(folder),
        "host_registry": registry_host(config),
        "host_registry_ca": config.images.ca_file and config.source_path(config.images.ca_file),
        "proxy_shop": config.shop.name,
        "proxy_environment": name,
        "proxy_map": values["proxy_map"],
        "proxy_configuration": door(config, name),
    }
