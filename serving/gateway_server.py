"""A gateway that stands alone, as in a container: `python -m serving.gateway_server`.

On one machine without Docker the supervisor starts `serving.gateway_process` instead, which can
hand its traffic over; here the proxy in front does that.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from serving.gateway.app import Api
from serving.gateway.model_client import ModelClient
from serving.gateway.recommender import Recommender, Served, clock
from serving.gateway.shoppers import ShopperStore

# What `bin/ci image` packs: the release's description beside what the gateway knows of shoppers.
DESCRIPTION = "gateway.json"
USERS = "users.db"
FINISH_SECONDS = 8


def read_release(folder: Path) -> tuple[str, Served]:
    """The task and the release that a folder describes.

    Args:
        folder: Holds `gateway.json` and `users.db`.
    """
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    task = str(content.pop("task"))
    return task, Served(**content)


async def serve(
    release: Path, model_address: str, host: str, port: int, at: float | None = None
) -> None:
    """Answer until SIGTERM; requests that have begun are finished."""
    task, served = read_release(release)
    model = ModelClient(model_address, task, served.model_version)
    shoppers = ShopperStore(release / USERS)
    application = Api(Recommender(served, model, shoppers, clock(at))).application()
    settings = uvicorn.Config(
        application,
        host=host,
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    try:
        await uvicorn.Server(settings).serve()
    finally:
        await model.close()
        shoppers.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Run a gateway from the command line."""
    parser = argparse.ArgumentParser(prog="serving.gateway_server", description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    parser.add_argument("--model_address", required=True, help="host:port of the model's REST API")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (8080)")
    parser.add_argument("--at", type=float, help="answer as of this moment (seconds), not now")
    options = parser.parse_args(argv)
    place = (options.host, options.port)
    asyncio.run(serve(options.release, options.model_address, *place, options.at))


if __name__ == "__main__":
    main()
