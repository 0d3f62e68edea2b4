"""What a person reads when a run has ended well: the verdict and one shopper's recommendations."""

from ci.workspace import Workspace

ITEMS_SHOWN = 5


def summarise(workspace: Workspace, released: bool) -> list[str]:
    """The lines of the model that serves: who is recommended what, how to ask, what was decided.

    Args:
        workspace: Holds the deployment and the verdict.
        released: Whether this run released it; otherwise it was live already.
    """
    deployment = workspace.read_json("../deployment.json", made_by="deploy")
    example = deployment["example"]
    user, version = example["user_id"], example["model_version"]
    titles = [f"{item['item_id']} {item.get('title', '')}".strip() for item in example["items"]]
    lines = [f"shopper   {user} is recommended, by model version {version}:"]
    lines += [f"{'':<9} {rank}. {title}" for rank, title in enumerate(titles[:ITEMS_SHOWN], 1)]
    lines.append(f"try it    curl -s {deployment['url']}/v1/users/{user}/recommendations")
    if released:
        decision = workspace.read_json("gate.json", made_by="gate")["decision"]
        return [*lines, f"verdict   {decision} for model version {version}"]
    return [*lines, f"verdict   model version {version} was live already; nothing to promote"]
