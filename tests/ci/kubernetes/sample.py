"""The rendered manifests of one environment, for tests that change a thing in them."""

from pathlib import Path

from ci.config import PROJECT, Config, Options, load_config
from ci.kubernetes import rendering
from ci.templating import fill

ENVIRONMENT = "cluster"
DIGESTS = {"pushcart-model": f"sha256:{'1a' * 32}", "pushcart-gateway": f"sha256:{'2b' * 32}"}
SETTINGS = """
[shop]
name = "corner"
[images]
registry = "registry.example.com:5443/shops"
[storage]
build = "{folder}/build"
[environments.local]
[environments.cluster]
target = "kubernetes"
replicas = 3
max_replicas = 12
"""


def load(folder: Path, environment: str = ENVIRONMENT) -> Config:
    (folder / "shop.toml").write_text(SETTINGS.format(folder=folder))
    return load_config(folder / "shop.toml", {}, Options(environment=environment))


def rendered(config: Config, model_version: int = 7) -> dict[str, str]:
    wanted = rendering.files(ENVIRONMENT)
    values = rendering.values(config, ENVIRONMENT, model_version)
    return fill(PROJECT / "infra" / "templates", wanted, values)
