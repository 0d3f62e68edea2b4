"""What must be true of Deployments and their pods beyond what the schemas say."""

import re
from collections.abc import Iterator

from ci.kubernetes.kustomize import Object
from ci.kubernetes.objects import Cluster, Fault, Pods, match_labels, matches, show

PINNED = re.compile(r"[^@:]+(:\d+/[^@:]+)?@sha256:(?P<digest>[0-9a-f]{64})")
USER = 10001  # the images' own
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def selectors(cluster: Cluster) -> Iterator[Fault]:
    """A Deployment selects its own pods, and spreads them."""
    for pods in cluster.pods:
        wanted = match_labels(pods.maker["spec"]["selector"])
        if not wanted or not matches(wanted, pods.labels):
            why = f"selects {show(wanted)}, its pods are {show(pods.labels)}"
            yield Fault("selector", pods.subject, why)
        others = [one.subject for one in cluster.selected(wanted) if one is not pods]
        if wanted and others:
            yield Fault("selector", pods.subject, f"selects the pods of {', '.join(others)} too")
        spread = pods.spec.get("topologySpreadConstraints", [])
        if not spread:
            yield Fault("spread", pods.subject, "all its pods may land on one machine")
        for one in spread:
            wanted = match_labels(one.get("labelSelector", {}))
            if not wanted or not matches(wanted, pods.labels):
                yield Fault("spread", pods.subject, f"counts {show(wanted)}, not its own pods")


def rollouts(cluster: Cluster) -> Iterator[Fault]:
    """A pod goes only after another has taken its place."""
    for pods in cluster.pods:
        rolling = pods.maker["spec"].get("strategy", {}).get("rollingUpdate", {})
        if (rolling.get("maxSurge"), rolling.get("maxUnavailable")) != (1, 0):
            yield Fault("rollout", pods.subject, f"rolls out with {rolling or 'the defaults'}")


def images(cluster: Cluster) -> Iterator[Fault]:
    """What runs is named by its digest."""
    for pods in cluster.pods:
        for container in pods.containers:
            pinned = PINNED.fullmatch(container["image"])
            if not pinned or not pinned["digest"].strip("0"):
                yield Fault("image-digest", pods.subject, f"{container['image']} has no digest")


def probes(cluster: Cluster) -> Iterator[Fault]:
    """A container is asked whether it is ready and alive, at ports that it has."""
    for pods in cluster.pods:
        for container in pods.containers:
            for name in PROBES[1:]:
                if name not in container:
                    yield Fault("probe", pods.subject, f"{container['name']} has no {name}")
            for name in PROBES:
                probe = container.get(name, {})
                asked = (probe.get(way) for way in ("httpGet", "tcpSocket", "grpc"))
                for port in (one["port"] for one in asked if one):
                    if port not in Pods(pods.maker, {}, {"containers": [container]}).ports:
                        why = f"{name} asks port {port!r}, which {container['name']} lacks"
                        yield Fault("probe-port", pods.subject, why)


def resources(cluster: Cluster) -> Iterator[Fault]:
    """A container says what it needs, and cannot take a machine's memory."""
    for pods in cluster.pods:
        for container in pods.containers:
            stated = container.get("resources", {})
            wanted = {"requests": ("cpu", "memory"), "limits": ("memory",)}
            for kind, names in wanted.items():
                for name in names:
                    if name not in stated.get(kind, {}):
                        why = f"{container['name']} has no resources.{kind}.{name}"
                        yield Fault("resources", pods.subject, why)


def security(cluster: Cluster) -> Iterator[Fault]:
    """Pods run as nobody in particular and can change neither themselves nor the cluster."""
    for pods in cluster.pods:
        if cluster.find("ServiceAccount", pods.spec.get("serviceAccountName", "")) is None:
            why = f"has the service account {pods.spec.get('serviceAccountName')!r}: there is none"
            yield Fault("service-account", pods.subject, why)
        for what in (*_unsafe_pod(pods.spec), *_unsafe_containers(pods)):
            yield Fault("security", pods.subject, what)


def _unsafe_pod(spec: Object) -> Iterator[str]:
    context = spec.get("securityContext", {})
    wanted = {"runAsNonRoot": True, "runAsUser": USER, "seccompProfile": {"type": "RuntimeDefault"}}
    for key, value in wanted.items():
        if context.get(key) != value:
            yield f"securityContext.{key} is {context.get(key)!r}, not {value!r}"
    if spec.get("automountServiceAccountToken") is not False:
        yield "gets a token of the cluster"


def _unsafe_containers(pods: Pods) -> Iterator[str]:
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for container in pods.containers:
        context = container.get("securityContext", {})
        for key, value in wanted.items():
            if context.get(key) != value:
                yield f"{container['name']}: {key} is {context.get(key)!r}, not {value!r}"
