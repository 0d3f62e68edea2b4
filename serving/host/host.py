"""What a rollout needs of the machine it happens on, whatever runs the two colours there."""

import abc
import asyncio
from pathlib import Path
from typing import Any, Final

from serving.host import record, releases
from serving.host.calls import CallError
from serving.host.control import Caller
from serving.host.record import Colour, Record
from serving.host.releases import Placed
from serving.host.verification import UnhealthyError, model_state, verify_gateway, verify_model

LOOPBACK: Final = "127.0.0.1"
POLL_SECONDS: Final = 0.05
# Seeing whether something still runs may start a program, whose work the live release would feel.
LIFE_SECONDS: Final = 0.5
SOURCES: Final = Path(__file__).resolve().parents[2]


class Host(abc.ABC):
    """Two colours, the record that names them, and the door that shoppers come through.

    Args:
        home: Folder of the environment: its record and its releases.
        known: Its record.
        address: Where this machine reaches the public port.
    """

    def __init__(self, home: Path, known: Record, address: str = LOOPBACK) -> None:
        self.home = home
        self.record = known
        self.address = address

    def save(self) -> None:
        """Write the record."""
        record.save(self.record, self.home)

    def placed(self, colour: Colour) -> Placed:
        """The release that a colour holds."""
        return releases.load(self.home, colour.key)

    def add(self, name: str, placed: Placed) -> Colour:
        """Write down a colour about to be started."""
        colour = Colour(
            name=name,
            digest=placed.digest,
            model_version=placed.model_version,
            engine=placed.engine,
            state="starting",
            images=dict(placed.images),
        )
        self.renumber(colour)
        self.record.colours[name] = colour
        self.save()
        return colour

    @abc.abstractmethod
    def renumber(self, colour: Colour) -> None:
        """Give a colour that does not run the ports that it will have."""

    @abc.abstractmethod
    async def start(self, colour: Colour) -> None:
        """Start a colour's model server and gateway; it gets no traffic yet.

        Raises:
            OSError: It cannot be started.
        """

    @abc.abstractmethod
    async def revive(self, colour: Colour) -> None:
        """Start what has ended of a colour that should run.

        Raises:
            OSError: It cannot be started.
        """

    @abc.abstractmethod
    def is_running(self, colour: Colour) -> bool:
        """Whether the model server and the gateway of a colour run."""

    @abc.abstractmethod
    async def require_running(self, colour: Colour) -> None:
        """See that a colour that is starting has not ended.

        Raises:
            UnhealthyError: It has; the message holds its last words.
        """

    @abc.abstractmethod
    async def gateway_answers(self, colour: Colour) -> None:
        """Wait until a colour's gateway can be given traffic, whether or not its model is loaded.

        Raises:
            UnhealthyError: It ended or took too long.
        """

    @abc.abstractmethod
    async def switch(self, target: Colour) -> None:
        """Move the traffic to the recorded live colour: nothing is lost, nothing goes back.

        Raises:
            OSError: The door or the target does not answer.
            RefusedOrderError: The target refuses.
        """

    async def forsake(self) -> None:  # noqa: B027  a door may have nothing to do
        """Give the traffic to nobody: no release is live.

        Raises:
            OSError: The door does not answer.
        """

    @abc.abstractmethod
    async def connections(self, colour: Colour) -> int:
        """How many of the shoppers' connections a colour still has; 0 of one that is dead."""

    @abc.abstractmethod
    async def failed(self) -> dict[str, int]:
        """Public requests answered with 5xx so far, by who counts them."""

    @abc.abstractmethod
    async def stop(self, colour: Colour) -> None:
        """End what runs of a colour; the record goes on to name it."""

    async def end(self, colour: Colour) -> None:
        """End what runs of a colour and forget it."""
        await self.stop(colour)
        if self.record.colours.get(colour.name) is colour:
            del self.record.colours[colour.name]
            self.save()

    async def model_available(self, colour: Colour, caller: Caller) -> None:
        """Wait until a model server has loaded the release, or the caller is gone.

        Raises:
            UnhealthyError: It ended, gave up, or took longer than the release may.
        """
        placed = self.placed(colour)
        now = asyncio.get_running_loop().time  # the loop's clock: a test may turn it
        deadline = now() + placed.start_timeout_seconds
        look_again = now() + LIFE_SECONDS
        state = "not answering"
        while now() < deadline and not caller.is_gone:
            state = await self._model_state(colour, placed) or state
            if state == "AVAILABLE":
                return
            if now() >= look_again:
                await self.require_running(colour)
                look_again = now() + LIFE_SECONDS
            await asyncio.sleep(POLL_SECONDS)
        if not caller.is_gone:
            raise UnhealthyError(
                f"the model is {state} after {placed.start_timeout_seconds:g} s "
                f"([serving] start_timeout_seconds); {self.where_to_look(colour)}"
            )

    async def _model_state(self, colour: Colour, placed: Placed) -> str | None:
        try:
            return await asyncio.to_thread(model_state, f"{LOOPBACK}:{colour.rest_port}", placed)
        except CallError:
            return None

    @abc.abstractmethod
    def where_to_look(self, colour: Colour) -> str:
        """Where the words of a colour's processes are kept, as the end of a message."""

    async def verify(self, colour: Colour) -> None:
        """Ask a colour, on its own ports, the golden requests and one shopper's recommendations.

        Raises:
            UnhealthyError: An answer is missing or another than the release must give.
        """
        placed = self.placed(colour)
        card = placed.card(self.home)
        await asyncio.to_thread(verify_model, f"{LOOPBACK}:{colour.rest_port}", placed, card)
        await asyncio.to_thread(self.ask, LOOPBACK, colour.gateway_port, placed)

    async def confirm(self, colour: Colour) -> None:
        """See that the public door answers with a colour's release.

        Raises:
            UnhealthyError: It does not.
        """
        await asyncio.to_thread(self.ask, self.address, self.record.port, self.placed(colour))

    def ask(self, address: str, port: int, placed: Placed) -> dict[str, Any]:
        """One shopper's recommendations by a release, asked at a port of this machine.

        Raises:
            UnhealthyError: Another release answers there, or none.
        """
        return verify_gateway(f"{address}:{port}", placed, placed.example_user)
