"""The real host of target `process` on a machine in memory, which imitates what it starts."""

import asyncio
from pathlib import Path
from typing import Any

from serving.host.control import RefusedOrderError
from serving.host.process_host import ProcessHost
from serving.host.processes import ProcessIdentity
from serving.host.record import Colour, Record
from serving.host.releases import Placed
from serving.host.verification import UnhealthyError
from tests.serving.host.machine import LISTENS_AFTER, Fault, Life, Machine, Process


class MachineHost(ProcessHost):
    """The real host of target `process`, on a machine in memory."""

    def __init__(self, home: Path, known: Record, machine: Machine, life: Life) -> None:
        super().__init__(home, known, None)  # type: ignore[arg-type]  the door is the machine's
        self.machine, self.life = machine, life

    def save(self) -> None:
        self.machine.moment(self.life)
        super().save()
        self.machine.moment(self.life)

    def is_alive(self, identity: ProcessIdentity | None) -> bool:
        return self.machine.alive(identity) is not None

    def renumber(self, colour: Colour) -> None:
        ports = (self.machine.number() for _ in range(3))
        colour.rest_port, colour.grpc_port, colour.gateway_port = ports

    def start_model(self, colour: Colour) -> None:
        colour.model = self._begin(colour, "model", colour.rest_port)

    def start_gateway(self, colour: Colour) -> None:
        colour.gateway = self._begin(colour, "gateway", colour.gateway_port)

    def _begin(self, colour: Colour, part: str, port: int) -> ProcessIdentity:
        """As `processes.start`: a process runs only after it was written down."""
        placed = self.placed(colour)
        fault = self.machine.faults[placed.key]
        if fault is Fault.NO_START:
            raise OSError("no such program")
        self.log_of(colour, part).parent.mkdir(exist_ok=True)
        self.log_of(colour, part).touch()
        identity = ProcessIdentity(self.machine.number(), "")
        setattr(colour, part, identity)
        self.save()
        born = self.machine.time()
        process = Process(part, placed, fault, born, port, colour.rest_port)
        self.machine.running[identity.pid] = process
        return identity

    async def order(self, colour: Colour, **order: Any) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        self.machine.moment(self.life)
        gateway = self.machine.alive(colour.gateway)
        if gateway is None or self.machine.time() - gateway.born < LISTENS_AFTER:
            raise ConnectionRefusedError(colour.name)
        self._lose(order["order"], gateway)
        match order:
            case {"order": "wait"}:
                gateway.mode = "waiting"
            case {"order": "relay", "address": address}:
                gateway.mode, gateway.accepts = "relaying", False
                gateway.next_port = int(address.rpartition(":")[2])
            case {"order": "serve"}:
                gateway.mode, gateway.accepts = "serving", True
        self.machine.moment(self.life)
        return {
            "pid": id(gateway),
            "mode": gateway.mode,
            "connections": self.machine.connections(gateway),
            "failed": gateway.failed,
        }

    def _lose(self, order: str, gateway: Process) -> None:
        if (gateway.fault, order) == (Fault.DEAF_TO_WAIT, "wait"):
            raise RefusedOrderError("usage", order)
        if (gateway.fault, order) == (Fault.DEAF_TO_SERVE, "serve"):
            raise TimeoutError(order)
        if self.machine.lost_order is not None and order != "state":
            self.machine.lost_order -= 1
            if self.machine.lost_order < 0:
                self.machine.lost_order = None
                raise TimeoutError(order)

    async def _model_state(self, colour: Colour, _: Placed) -> str | None:
        await asyncio.sleep(0.001)
        self.machine.moment(self.life)
        process = self.machine.alive(colour.model)
        state = self.machine.model_state(process) if process else None
        if state == "END":
            raise UnhealthyError("the model did not load")
        return state

    async def verify(self, colour: Colour) -> None:
        await asyncio.sleep(0.001)
        self.machine.moment(self.life)
        model, gateway = self.machine.alive(colour.model), self.machine.alive(colour.gateway)
        if not (model and gateway and self.machine.model_state(model) == "AVAILABLE"):
            raise UnhealthyError("nobody answers")
        if model.fault in (Fault.WRONG, Fault.ERRORS):
            raise UnhealthyError(model.fault.value)

    async def confirm(self, colour: Colour) -> None:
        await asyncio.sleep(0.001)
        self.machine.moment(self.life)
        if self.machine.shop() != colour.key:
            raise UnhealthyError("another release answers, or none")

    async def end_process(self, identity: ProcessIdentity | None) -> None:
        await asyncio.sleep(0.001)
        self.machine.moment(self.life)
        if self.machine.alive(identity):
            del self.machine.running[identity.pid]
