"""Carries what one agent made to the next: JSON travels with the build, folders in the store.

A build server hands small files from agent to agent (`stash`); a dataset or a bundle is no small
file. So whoever makes one keeps it in the artifact store that the agents share, and whoever reads
one gets it from there, by the digest that the JSON beside it names.
"""

from ci import artifacts, reuse
from ci.config import Config
from ci.pipeline import STAGE, STAGES, Stage
from ci.workspace import Workspace

BUNDLE = "bundle"  # `export` keeps it by itself, under the digest that the registry knows
PACKING = ("render", "image", "deploy")  # the stages that run on other agents than the training
CARRIED = {
    name: stage.name
    for stage in STAGES
    for name in stage.writes
    if any(name in STAGE[later].reads for later in PACKING) and not name.endswith(".json")
}


def keep(stage: Stage, config: Config, workspace: Workspace) -> None:
    """Keep the folders of a stage that other agents read, where agents share a store."""
    if config.shared_artifacts is None or config.options.reference:
        return
    for name in stage.writes:
        if name in CARRIED and name != BUNDLE:
            digest = reuse.output_of(stage, name, workspace)
            artifacts.store(config, workspace.path(name), digest)


def bring(name: str, config: Config, workspace: Workspace) -> None:
    """Lay a folder that another agent made into this workspace; what is here already stays.

    It is a link into the store, whose content nobody changes.

    Raises:
        RefusedError: It was altered in the store.
        UnavailableError: The store does not have it.
    """
    if name not in CARRIED or workspace.path(name).exists():
        return
    place, digest = _made(name, workspace)
    if digest:
        target = workspace.path(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(artifacts.fetch(config, digest), target_is_directory=True)


def _made(name: str, workspace: Workspace) -> tuple[str, str]:
    """Where a folder belongs and its digest, as the JSON of its maker says; "" where none does."""
    if name == BUNDLE:
        described = workspace.find_json("bundle.json")
        return (described["path"], described["digest"]) if described else (name, "")
    return name, reuse.output_of(STAGE[CARRIED[name]], name, workspace)
