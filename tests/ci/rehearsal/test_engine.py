"""An engine of our own leaves nothing behind, whatever ran in it."""

import socket
from ipaddress import ip_network
from pathlib import Path

from ci.releasing.bases import gateway_base
from tests.docker_engine import docker_engine
from tests.services import require_service


def mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [place for place in mounts if Path(place).is_relative_to(folder)]


def test_a_container_on_the_machines_own_network_leaves_nothing():
    """For one of them dockerd makes a mount that it does not take down at its end."""
    require_service("debian")
    with docker_engine() as engine:
        folder = Path(engine.info()["DockerRootDir"]).parent
        image = gateway_base(engine)
        engine.containers.run(image, ["true"], network_mode="host", remove=True)
        assert [place for place in mounts_below(folder) if "netns" in place]
    assert mounts_below(folder) == []
    assert not folder.exists()


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_networks_are_taken_down_with_whatever_runs_in_them():
    """The engine leaves its bridges; after some thirty a machine has no address for another."""
    require_service("debian")
    before = interfaces()
    with docker_engine() as engine:
        image = gateway_base(engine)
        network = engine.networks.create("shop")
        engine.containers.run(image, ["sleep", "600"], network="shop", detach=True)
        made = interfaces() - before
        assert f"br-{network.id[:12]}" in made
        (pool,) = engine.networks.get("shop").attrs["IPAM"]["Config"]
        assert ip_network(pool["Subnet"]).subnet_of(ip_network("10.0.0.0/8"))
    assert not made & interfaces()
