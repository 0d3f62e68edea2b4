"""What a person reads when a run has ended well: the verdict and one shopper's recommendations."""

from ci.workspace import Workspace

ITEMS_SHOWN = 5


def summarise(workspace: Workspace) -> list[str]:
    """The lines of the released model: who is recommended what, how to ask, what the gate said."""
    deployment = workspace.read_json("../deployment.json", made_by="deploy")
    verdict = workspace.find_json("gate.json")
    example = deployment["example"]
    user, version = example["user_id"], example["model_version"]
    titles = [f"{item['item_id']} {item.get('title', '')}".strip() for item in example["items"]]
    lines = [f"shopper   {user} is recommended, by model version {version}:"]
    lines += [f"{'':<9} {rank}. {title}" for rank, title in enumerate(titles[:ITEMS_SHOWN], 1)]
    lines.append(f"try it    curl -s {deployment['url']}/v1/users/{user}/recommendations")
    if verdict and verdict["challenger"]["digest"] == deployment["digest"]:
        lines.append(f"verdict   {verdict['decision']} for model version {version}")
    return lines
