"""A supervisor that is killed at one step: `DIES_AT=step python dying_supervisor.py …`.

A step is one of the record's (`start`, `load`, …) or `order:NAME`, the moment after a gateway has
carried that order out.
"""

import os
import signal
import sys
from typing import Any

from serving import supervisor
from serving.host.process_host import ProcessHost
from serving.host.record import Colour
from serving.host.rollout import Rollout
from serving.supervisor import Supervisor

DIES_AT = os.environ["DIES_AT"]


def die_at(place: str) -> None:
    if place == DIES_AT:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingRollout(Rollout):
    def tell(self, step: str, what: str) -> None:
        super().tell(step, what)
        die_at(step)


class DyingSupervisor(Supervisor):
    rollout = DyingRollout


obeyed = ProcessHost.order


async def order(self: ProcessHost, colour: Colour, **order: Any) -> dict[str, Any]:
    answer = await obeyed(self, colour, **order)
    is_rollout = self.record.history and self.record.history[-1].step == "switch"
    if is_rollout:
        die_at(f"order:{order['order']}")
    return answer


ProcessHost.order = order  # type: ignore[method-assign]
sys.exit(supervisor.main(kind=DyingSupervisor))
