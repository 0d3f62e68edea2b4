"""The small shop of a rehearsal: settings, keys and credentials beside its hosts' inventory."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from ci.config import Options, load_config
from ci.rehearsal.hosts import Rehearsal
from ci.rehearsal.machines import SHOPPERS
from ci.rehearsal.registry import ContainerRegistry
from ci.releasing.keys import new_pair

ENVIRONMENT = "rehearsal"
# Every key that is not here has its default; relative files lie beside this one.
SETTINGS = """\
# A shop to rehearse rollouts with. Change what you like; it is gone when the rehearsal ends.
[shop]
name = "rehearsal"
[simulator]
shoppers = 2_000
items = 300
events = 120_000
[model]
parts = ["popularity", "repeat", "linear"]  # seconds; the default blend takes a minute
[serving]
engine = "litert"
base_image = "embedded"
gateway_base_image = "debian"
drain_seconds = 5
[gate]
baseline_environment = "{environment}"
max_cpu_ratio = 4.0  # the first model of the rehearsal is as cheap as a model can be
[images]
registry = "{registry}/rehearsal"
ca_file = "ca.crt"
[signing]
public_keys = "keys"
[storage]
build = "{folder}/build"
state = "{folder}/var"
[environments.local]
target = "process"
[environments.{environment}]
target = "hosts"
port = {port}
bind = "0.0.0.0"  # of the host; its port is published on this machine's 127.0.0.1 alone
inventory = "{inventory}"
known_hosts = "{known_hosts}"
"""


@dataclass(frozen=True)
class Shop:
    """The files of a rehearsal's shop.

    Attributes:
        settings: For `bin/ci --config`.
        variables: Credentials, and the engine that builds the images: for a shell to read.
        ssh_config: For `ssh -F`.
    """

    settings: Path
    variables: Path
    ssh_config: Path


def open_shop(rehearsal: Rehearsal, registry: ContainerRegistry, engine: str, folder: Path) -> Shop:
    """Write the shop's files.

    Args:
        rehearsal: The hosts.
        registry: Where the images go.
        engine: Address of the Docker engine that builds them and runs the hosts.
        folder: Where the files lie; only its owner may read it.
    """
    shop = Shop(folder / "pipeline.toml", folder / "variables.sh", folder / "ssh_config")
    shop.settings.write_text(
        SETTINGS.format(
            environment=ENVIRONMENT,
            registry=registry.address,
            folder=folder,
            port=SHOPPERS,
            inventory=rehearsal.inventory.name,
            known_hosts=rehearsal.known_hosts.name,
        )
    )
    (folder / "ca.crt").write_bytes(registry.ca_file.read_bytes())
    config = load_config(shop.settings, options=Options(environment=ENVIRONMENT))
    signing = folder / "signing-key.pem"
    new_pair(config, signing)
    values = {
        "DOCKER_HOST": engine,
        config.environment.ssh_key_env: str(rehearsal.key),
        config.signing.key_env: str(signing),
        config.images.username_env: registry.user,
        config.images.password_env: registry.password,
    }
    shop.variables.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    )
    shop.ssh_config.write_text(_ssh_config(rehearsal))
    return shop


def _ssh_config(rehearsal: Rehearsal) -> str:
    lines = [
        "Host *",
        "  HostName 127.0.0.1",
        "  User root",
        f"  IdentityFile {rehearsal.key}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {rehearsal.known_hosts}",
        "  StrictHostKeyChecking yes",
    ]
    for host in rehearsal.hosts:
        lines += [f"Host {host.name}", f"  Port {host.ssh_port}"]
    return "\n".join([*lines, ""])
