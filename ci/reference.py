"""The reference: what a pull request is judged on, without a database and without credentials.

`main` publishes it into the artifact store: a small event log under pseudonyms, and what the code
of `main` makes of it. A pull request trains on the same log with the same budget, and its model is
compared with that of `main`: like with like. It reads nothing else of the shop.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ci import artifacts
from ci.config import TASK, Config
from ci.errors import InconclusiveError
from ci.settings import DataSettings, NotifySettings, RegistrySettings
from ci.workspace import write_atomically
from model.data.sources import Source

POINTER = "reference.json"  # beside the stored folders: which of them is the newest reference
FACTS = "facts.json"
EVENTS, ITEMS = "events.parquet", "items.parquet"
SOURCE = "reference"  # the value of `[data] source` and `catalogue`
# Keys of [data] that tell where a shop's rows are and in which words; the sample is in our own.
WRITTEN_AS_THE_SHOP_DOES = (
    *("source", "catalogue", "password_env", "password_file", "engine", "min_events"),
    *("columns", "catalogue_columns", "event_types", "event_type", "item_separator"),
    *("unknown_users",),
)


@dataclass(frozen=True)
class Published:
    """Where the newest reference lies.

    Attributes:
        digest: `sha256:…` of its folder.
        before: The digest of the one before, which builds in progress may still read; "" for none.
    """

    digest: str
    before: str = ""


def store_of(config: Config) -> Path:
    """The artifact store that `main` publishes to and pull requests read."""
    return config.shared_artifacts or config.artifacts


def find_published(config: Config) -> Published | None:
    """The newest reference, if `main` has published one."""
    pointer = store_of(config) / POINTER
    return Published(**json.loads(pointer.read_text("utf-8"))) if pointer.exists() else None


def point_to(config: Config, published: Published) -> None:
    """Make a stored folder the newest reference."""
    write_atomically(store_of(config) / POINTER, json.dumps(vars(published), indent=2) + "\n")


def judged_on_reference(config: Config) -> Config:
    """The settings of a pull request: the rows of the reference, and nothing of the shop's own.

    Without a reference the stages that read rows say so (exit 11); others go on.
    """
    published = find_published(config)
    home = artifacts.fetch(config, published.digest) if published else None
    return at(config, home)


def at(config: Config, home: Path | None) -> Config:
    """The settings that read the reference in a folder."""
    facts = facts_of(home) if home else {}
    in_our_words = DataSettings(source=SOURCE, catalogue=SOURCE, min_events=1)
    replaced = {name: getattr(in_our_words, name) for name in WRITTEN_AS_THE_SHOP_DOES}
    data = config.data.model_copy(update={**replaced, "as_of": facts.get("as_of", "")})
    settings = config.settings.model_copy(
        update={"data": data, "registry": RegistrySettings(), "notify": NotifySettings()}
    )
    options = replace(config.options, reference=True, reference_home=home)
    return Config(settings, config.path, options)


def home_of(config: Config) -> Path:
    """The folder of the reference that this invocation reads.

    Raises:
        InconclusiveError: `main` has published none.
    """
    if config.options.reference_home:
        return config.options.reference_home
    variable = config.storage.artifacts_env
    unset = "" if config.shared_artifacts else f": {variable} is not set"
    raise InconclusiveError(
        f"INCONCLUSIVE: there is no reference to judge on in {store_of(config)}{unset}. The stage "
        "`reference` of the main branch's next build publishes one; then run this build again."
    )


def facts_of(home: Path) -> dict[str, Any]:
    """What is told of a reference: commit, clock, sizes, and the figures of the live model."""
    facts: dict[str, Any] = json.loads((home / FACTS).read_text("utf-8"))
    return facts


def events(config: Config) -> Source:
    """The event log of the reference.

    Raises:
        InconclusiveError: There is none.
    """
    return Source(str(home_of(config) / EVENTS))


def catalogue(config: Config) -> Source:
    """The catalogue of the reference.

    Raises:
        InconclusiveError: There is none.
    """
    return Source(str(home_of(config) / ITEMS))


def begin(config: Config) -> None:
    """Lay what `main` made of the reference into an empty workspace.

    A change that alters neither code nor settings of a stage finds its result there, by the
    digests of all it depends on: a pull request of documentation trains nothing.
    """
    home = config.options.reference_home
    if home is None:
        return  # the first stage says so
    shop = facts_of(home)["shop"]
    task, state = begun_build(home) / shop / TASK, begun_state(home) / shop
    for begun, target in ((task, config.build / TASK), (state, config.state)):
        if not target.exists():
            shutil.copytree(begun, target)


def begun_build(home: Path) -> Path:
    """Where the reference keeps what the stages of `main` made: its `[storage] build`."""
    return home / "begun/build"


def begun_state(home: Path) -> Path:
    """Where the reference keeps the registry of what `main` made: its `[storage] state`."""
    return home / "begun/state"
