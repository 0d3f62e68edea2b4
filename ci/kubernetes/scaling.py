"""What must be true of autoscalers and disruption budgets."""

from collections.abc import Iterator

from ci.kubernetes.kustomize import Object
from ci.kubernetes.objects import Cluster, Fault, match_labels, show, subject_of


def autoscalers(cluster: Cluster) -> Iterator[Fault]:
    """Every Deployment is scaled by exactly one autoscaler, and by nobody else."""
    targets = [one["spec"]["scaleTargetRef"] for one in cluster.of("HorizontalPodAutoscaler")]
    for scaler in cluster.of("HorizontalPodAutoscaler"):
        spec, target = scaler["spec"], scaler["spec"]["scaleTargetRef"]
        if cluster.find(target["kind"], target["name"]) is None:
            why = f"scales {target['kind']}/{target['name']}, which is not there"
            yield Fault("scaling-target", subject_of(scaler), why)
        fewest, most = spec.get("minReplicas", 1), spec["maxReplicas"]
        if not 2 <= fewest <= most:
            why = f"keeps {fewest} to {most} pods; one machine's end must leave one, so 2 or more"
            yield Fault("scaling-range", subject_of(scaler), why)
    for pods in cluster.pods:
        scaled = sum(one["name"] == pods.maker["metadata"]["name"] for one in targets)
        if scaled != 1:
            yield Fault("scaling-target", pods.subject, f"{scaled} autoscalers scale it")
        if "replicas" in pods.maker["spec"]:
            why = "has `replicas`: every apply would undo what its autoscaler decided"
            yield Fault("scaling-replicas", pods.subject, why)


def budgets(cluster: Cluster) -> Iterator[Fault]:
    """Every Deployment has one budget, which lets a machine be emptied and never takes all."""
    covered = []
    for budget in cluster.of("PodDisruptionBudget"):
        labels = match_labels(budget["spec"].get("selector", {}))
        pods = cluster.selected(labels)
        covered += pods
        if len(pods) != 1:
            why = f"is about {show(labels)}: {len(pods)} Deployments"
            yield Fault("disruption-selector", subject_of(budget), why)
            continue
        fewest, _ = cluster.replicas(pods[0].maker["metadata"]["name"])
        if why := _impossible(budget["spec"], fewest):
            yield Fault("disruption-range", subject_of(budget), why)
    for one in cluster.pods:
        if one not in covered:
            yield Fault("disruption-selector", one.subject, "no budget is about its pods")


def _impossible(spec: Object, fewest: int) -> str:
    """Why a budget blocks every eviction, or allows them all at once; "" where it does neither."""
    allowed = spec.get("maxUnavailable", fewest - int(spec.get("minAvailable", 0)))
    if not isinstance(allowed, int):
        return f"counts in shares ({allowed}), which round to all or none of {fewest} pods"
    if allowed < 1:
        return f"lets none of {fewest} pods go: no machine can be emptied"
    return f"lets all {fewest} pods go at once" if allowed >= fewest else ""
