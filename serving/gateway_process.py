"""One gateway process, `python -m serving.gateway_process`; its supervisor says when to serve."""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from serving.gateway.acceptor import HttpServer
from serving.gateway.app import Api
from serving.gateway.event_store import Lately, SqliteEventStore
from serving.gateway.model_client import ModelClient
from serving.gateway.recommender import Recommender, Served, clock
from serving.gateway.shoppers import ShopperStore
from serving.gateway.turnstile import Turnstile
from serving.host import control
from serving.host.control import Caller, Order, RefusedOrderError

FINISH_SECONDS = 8.0


class GatewayProcess:
    """A gateway with its public socket (not its own), private port and orders.

    Args:
        turnstile: The application.
        public: Listening socket that the colours share.
        private: Listening socket of this colour alone.
    """

    def __init__(self, turnstile: Turnstile, public: socket.socket, private: socket.socket) -> None:
        self._turnstile = turnstile
        self._public_socket = public
        self._server = HttpServer(turnstile)
        self._public = self._server.acceptor(public, is_public=True)
        self._private = self._server.acceptor(private, is_public=False)
        self.ended = asyncio.Event()

    async def obey(self, order: Order, _: Caller) -> Order:
        """Carry out one order of the supervisor and answer with the state after it."""
        match order:
            case {"order": "state"}:
                pass
            case {"order": "wait"}:
                self._turnstile.wait()
            case {"order": "relay", "address": str(address)}:
                self._public.stop()
                self._turnstile.relay(address)
            case {"order": "serve"}:
                self._turnstile.serve()
                self._public.start()
            case {"order": "listener"}:
                return {"descriptor": self._public_socket.fileno()}
            case _:
                raise RefusedOrderError("usage", f"a gateway knows no order {order}")
        return {
            "pid": os.getpid(),
            "mode": self._turnstile.mode,
            "connections": self._server.connections,
            "answered": self._turnstile.answered,
            "failed": self._turnstile.failed,
        }

    async def run(self, orders: Path) -> None:
        """Serve until told to end by SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ended.set)
        clock = asyncio.ensure_future(self._server.tell_the_time())
        self._private.start()
        listening = await control.listen(orders, self.obey)
        await self.ended.wait()
        listening.close()
        self._public.stop()
        self._private.stop()
        await self._server.finish(FINISH_SECONDS)
        clock.cancel()


def _served(bundle: Path, digest: str) -> Served:
    card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    return Served(
        model_version=int(bundle.name),
        digest=digest,
        top_k=card["top_k"],
        history_length=card["history_length"],
        frequent_length=card["frequent_length"],
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.gateway_process", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the released bundle")
    parser.add_argument("--users", type=Path, required=True, help="users.db of the release")
    parser.add_argument("--events", type=Path, required=True, help="where posted events are kept")
    parser.add_argument("--environment", required=True, help="whose events they are")
    parser.add_argument("--digest", required=True, help="digest of the bundle")
    parser.add_argument("--task", required=True, help="name of the served model")
    parser.add_argument("--model_address", required=True, help="host:port of the model's REST API")
    parser.add_argument("--listener_fd", type=int, required=True, help="the shared public socket")
    parser.add_argument("--port", type=int, required=True, help="private port on 127.0.0.1")
    parser.add_argument("--orders", type=Path, required=True, help="path of the control socket")
    parser.add_argument("--at", type=float, help="answer as of this moment (seconds), not now")
    return parser.parse_args(argv)


async def _run(options: argparse.Namespace) -> None:
    public = socket.socket(fileno=options.listener_fd)
    private = socket.create_server(("127.0.0.1", options.port))
    served = _served(options.bundle, options.digest)
    model = ModelClient(options.model_address, options.task, served.model_version)
    shoppers, store = ShopperStore(options.users), SqliteEventStore(options.events)
    lately = Lately(store, shoppers.posted_until(options.environment))
    recommender = Recommender(served, model, shoppers, clock(options.at), lately)
    process = GatewayProcess(Turnstile(Api(recommender).application()), public, private)
    try:
        await process.run(options.orders)
    finally:
        await model.close()
        shoppers.close()
        store.close()
        private.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run a gateway until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_run(_arguments(argv)))


if __name__ == "__main__":
    main()
