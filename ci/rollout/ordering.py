"""What a deploy brings to a host that runs containers, as `serving/host/orders.py` reads it."""

from ci.config import Config
from ci.errors import RefusedError, UsageError
from ci.rollout.placing import describe, read_card
from ci.workspace import Workspace
from serving.host import orders
from serving.host.releases import Placed


def images_of(workspace: Workspace) -> dict[str, str]:
    """What the release at hand is started from, by part.

    Raises:
        UsageError: The stage `image` has not run.
    """
    images = workspace.read_json("../release.json", "image")["images"]
    return {part: image["reference"] for part, image in images.items()}


def order_of(config: Config, workspace: Workspace) -> tuple[Placed, str]:
    """The release at hand, and the text of the order for it.

    Raises:
        UsageError: A stage before has not run, or built no images; half a login is set.
        RefusedError: The images are of another bundle than the one at hand.
    """
    release = workspace.read_json("../release.json", "image")
    images = images_of(workspace)
    again = f"Run `bin/ci image --environment {config.options.environment}`"
    if not images:
        raise UsageError(f"release.json names no images. {again} where a Docker engine runs.")
    placed = describe(config, workspace, images, release["example_user"])
    made_of = release["bundles"][placed.task]["digest"]
    if made_of != placed.digest:
        raise RefusedError(
            f"The images were made of the bundle {made_of}, the bundle at hand is {placed.digest}. "
            f"{again}."
        )
    card = read_card(workspace, placed.model_version)
    statement = workspace.find_json("../statement.json")
    return placed, orders.as_json(vars(placed), card, statement, _login(config))


def registry_host(config: Config) -> str:
    """Host and port of the registry of images."""
    return config.images.registry.partition("/")[0]


def _login(config: Config) -> dict[str, str] | None:
    """Who may pull, where the registry asks."""
    from ci.releasing.pushing import read_login  # noqa: PLC0415  a status needs no Docker library

    login, registry = read_login(config), registry_host(config)
    return {"registry": registry, **login} if login and registry else None
