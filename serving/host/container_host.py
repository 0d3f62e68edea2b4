"""Two colours as containers of this machine, behind a HAProxy that owns the public port."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.host import containers
from serving.host.calls import CallError, call
from serving.host.containers import Container
from serving.host.host import LIFE_SECONDS, LOOPBACK, POLL_SECONDS, Host
from serving.host.proxy import NOBODY, Proxy, ProxyError
from serving.host.record import COLOURS, Colour, Record
from serving.host.verification import UnhealthyError

MODEL_REST, MODEL_GRPC, GATEWAY = 8501, 8500, 8080  # ports inside the containers
PARTS: Final = ("gateway", "model")  # in the order in which they end
ANSWER_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
# Above the public port, for each colour: gateway, the model's REST and gRPC.
PORTS_A_COLOUR: Final = 3


@dataclass(frozen=True)
class Names:
    """What the containers of an environment are called."""

    shop: str
    environment: str

    @property
    def network(self) -> str:
        """The network that only they share."""
        return f"pushcart-{self.shop}-{self.environment}"

    def container(self, colour: str, part: str) -> str:
        """One container of a colour."""
        return f"{self.shop}-{self.environment}-{colour}-{part}"


class ContainerHost(Host):
    """The containers of one environment on this machine.

    Args:
        home: Folder of the environment.
        known: Its record.
        proxy: The HAProxy in front of them.
        address: Where this machine reaches the public port.
    """

    def __init__(self, home: Path, known: Record, proxy: Proxy, address: str = LOOPBACK) -> None:
        super().__init__(home, known, address)
        self.proxy = proxy
        self.names = Names(known.shop, known.environment)

    def renumber(self, colour: Colour) -> None:
        """Ports next to the public one, always the same for a colour: the proxy knows them."""
        first = self.record.port + 1 + COLOURS.index(colour.name)
        colour.gateway_port, colour.rest_port, colour.grpc_port = (
            first + len(COLOURS) * place for place in range(PORTS_A_COLOUR)
        )

    def _containers(self, colour: Colour) -> dict[str, Container]:
        placed, network = self.placed(colour), self.names.network
        model = self.names.container(colour.name, "model")
        clock = [] if placed.at is None else [f"--at={placed.at}"]
        ports = {MODEL_REST: colour.rest_port, MODEL_GRPC: colour.grpc_port}
        return {
            "model": Container(model, colour.images["model"], network, ports),
            "gateway": Container(
                self.names.container(colour.name, "gateway"),
                colour.images["gateway"],
                network,
                {GATEWAY: colour.gateway_port},
                [f"--model_address={model}:{MODEL_REST}", *clock],
            ),
        }

    async def start(self, colour: Colour) -> None:
        """Start both containers of a colour."""
        await asyncio.to_thread(containers.ensure_network, self.names.network)
        for container in self._containers(colour).values():
            await asyncio.to_thread(containers.run, container)

    async def revive(self, colour: Colour) -> None:
        """Start the containers of a colour that do not run; the engine does so after a reboot."""
        await asyncio.to_thread(containers.ensure_network, self.names.network)
        names = [self.names.container(colour.name, part) for part in PARTS]
        if not any([await asyncio.to_thread(containers.is_running, name) for name in names]):
            self.renumber(colour)  # the public port may have been changed meanwhile
            self.save()
        for container in self._containers(colour).values():
            if not await asyncio.to_thread(containers.is_running, container.name):
                await asyncio.to_thread(containers.run, container)

    def is_running(self, colour: Colour) -> bool:
        """Whether both containers run."""
        names = (self.names.container(colour.name, part) for part in PARTS)
        return all(containers.is_running(name) for name in names)

    async def require_running(self, colour: Colour) -> None:
        """See that neither container has ended or was started again.

        Raises:
            UnhealthyError: One has; the message holds the last lines that it wrote.
        """
        for part in PARTS:
            name = self.names.container(colour.name, part)
            known = await asyncio.to_thread(containers.inspect, name)
            if known and known["State"]["Running"] and not known["RestartCount"]:
                continue
            lines = await asyncio.to_thread(containers.last_words, name) if known else []
            raise UnhealthyError("\n  ".join([f"the container {name} ended; its log:", *lines]))

    def where_to_look(self, colour: Colour) -> str:
        """The log of the model server."""
        return f"see `docker logs {self.names.container(colour.name, 'model')}`"

    async def gateway_answers(self, colour: Colour) -> None:
        """Wait until a colour's gateway answers at all.

        Raises:
            UnhealthyError: It ended or took too long.
        """
        now = asyncio.get_running_loop().time
        deadline, look_again = now() + ANSWER_SECONDS, now() + LIFE_SECONDS
        while now() < deadline:
            try:
                await asyncio.to_thread(call, f"{LOOPBACK}:{colour.gateway_port}", "/healthz")
            except CallError:
                if now() >= look_again:
                    await self.require_running(colour)
                    look_again = now() + LIFE_SECONDS
                await asyncio.sleep(POLL_SECONDS)
            else:
                return
        name = self.names.container(colour.name, "gateway")
        raise UnhealthyError(f"the gateway does not answer; see `docker logs {name}`")

    async def switch(self, target: Colour) -> None:
        """Point the proxy at the recorded live colour.

        Raises:
            ProxyError: The proxy does not answer.
        """
        if self.record.live == target.name:
            await asyncio.to_thread(self.proxy.point_at, target.name)

    async def forsake(self) -> None:
        """Point the proxy at nobody."""
        await asyncio.to_thread(self.proxy.point_at, NOBODY)

    async def connections(self, colour: Colour) -> int:
        """Requests that a colour is answering now."""
        return await asyncio.to_thread(self.proxy.sessions, colour.name)

    async def failed(self) -> dict[str, int]:
        """Public requests that the proxy answered with 5xx."""
        try:
            return {"proxy": await asyncio.to_thread(self.proxy.failed)}
        except ProxyError:
            return {}

    async def stop(self, colour: Colour) -> None:
        """End and remove a colour's containers; their images stay."""
        for part in PARTS:
            name = self.names.container(colour.name, part)
            await asyncio.to_thread(containers.remove, name, STOP_SECONDS)
