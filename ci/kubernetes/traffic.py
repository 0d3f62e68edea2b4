"""What must be true of Services and NetworkPolicies: who reaches whom, at which port."""

import re
from collections.abc import Iterator

from ci.kubernetes.kustomize import Object
from ci.kubernetes.objects import Cluster, Fault, Pods, match_labels, matches, show, subject_of

ADDRESS = re.compile(r"--model_address=(?P<host>[\w.-]+):(?P<port>\d+)")
VERSION = re.compile(r"/versions/(?P<version>\d+)(/|$)")
VERSION_LABEL = "app.kubernetes.io/version"
BOTH_WAYS = {"Ingress", "Egress"}


def services(cluster: Cluster) -> Iterator[Fault]:
    """A Service has pods behind it that listen at its ports."""
    for service in cluster.of("Service"):
        behind = cluster.selected(service["spec"].get("selector", {}))
        if len(behind) != 1 or not service["spec"].get("selector"):
            makers = ", ".join(one.subject for one in behind) or "no pod"
            yield Fault("service-selector", subject_of(service), f"has {makers} behind it")
            continue
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            if target not in behind[0].ports:
                why = f"leads to port {target!r}, which {behind[0].subject} lacks"
                yield Fault("service-port", subject_of(service), why)


def model_address(cluster: Cluster) -> Iterator[Fault]:
    """The gateway asks a Service of this namespace, whose pods are ready for one model version."""
    found = False
    for pods in cluster.pods:
        for argument in (word for one in pods.containers for word in one.get("args", [])):
            if match := ADDRESS.fullmatch(argument):
                found = True
                yield from _at(cluster, pods, match["host"], int(match["port"]))
    if not found:
        yield Fault("model-address", "Deployment/gateway", "no container has --model_address")


def _at(cluster: Cluster, pods: Pods, host: str, port: int) -> Iterator[Fault]:
    service = cluster.find("Service", host)
    ports = [one["port"] for one in service["spec"]["ports"]] if service else []
    if service is None or port not in ports:
        why = f"asks {host}:{port}, where no Service listens"
        yield Fault("model-address", pods.subject, why)
        return
    for asked in cluster.selected(service["spec"].get("selector", {})):
        versions = {pods.labels.get(VERSION_LABEL), asked.labels.get(VERSION_LABEL)}
        path = asked.containers[0].get("readinessProbe", {}).get("httpGet", {}).get("path", "")
        ready_for = VERSION.search(path)
        versions.add(ready_for["version"] if ready_for else None)
        if len(versions) != 1 or None in versions:
            why = (
                f"is of version {pods.labels.get(VERSION_LABEL)}, asks {asked.subject} of "
                f"{asked.labels.get(VERSION_LABEL)}, which is ready when {path or 'nothing'} is"
            )
            yield Fault("model-version", pods.subject, why)


def policies(cluster: Cluster) -> Iterator[Fault]:
    """Nothing is allowed but what a policy names, and every policy is about pods that exist."""
    if not any(_is_deny_all(one["spec"]) for one in cluster.of("NetworkPolicy")):
        yield Fault("network-default", "NetworkPolicy", "none denies all that no other allows")
    for policy in cluster.of("NetworkPolicy"):
        labels = match_labels(policy["spec"]["podSelector"])
        if not cluster.selected(labels):
            yield Fault("network-selector", subject_of(policy), f"no pod is {show(labels)}")
        for rule in policy["spec"].get("ingress", []):
            yield from _ingress(cluster, policy, rule)
        for rule in policy["spec"].get("egress", []):
            yield from _egress(cluster, policy, rule)


def _is_deny_all(spec: Object) -> bool:
    is_silent = not spec.get("ingress") and not spec.get("egress")
    return not spec["podSelector"] and set(spec.get("policyTypes", [])) == BOTH_WAYS and is_silent


def _inside(cluster: Cluster, policy: Object) -> list[Pods]:
    return cluster.selected(match_labels(policy["spec"]["podSelector"]))


def _peers(cluster: Cluster, policy: Object, peers: list[Object]) -> Iterator[Pods | Fault]:
    """The pods of this namespace that a rule names, and the names that are nobody's."""
    for labels in (match_labels(one["podSelector"]) for one in peers if _is_near(one)):
        if not cluster.selected(labels):
            yield Fault("network-selector", subject_of(policy), f"no pod is {show(labels)}")
        yield from cluster.selected(labels)


def _is_near(peer: Object) -> bool:
    return "podSelector" in peer and "namespaceSelector" not in peer


def _ingress(cluster: Cluster, policy: Object, rule: Object) -> Iterator[Fault]:
    peers = _peers(cluster, policy, rule.get("from", []))
    yield from (one for one in peers if isinstance(one, Fault))
    for port in (one["port"] for one in rule.get("ports", [])):
        yield from _lacking(policy, port, _inside(cluster, policy))


def _egress(cluster: Cluster, policy: Object, rule: Object) -> Iterator[Fault]:
    for peer in _peers(cluster, policy, rule.get("to", [])):
        if isinstance(peer, Fault):
            yield peer
            continue
        for port in (one["port"] for one in rule.get("ports", [])):
            yield from _lacking(policy, port, [peer])
            for one in _inside(cluster, policy):
                if not _admits(cluster, peer, one, port):
                    why = f"lets {one.subject} out to {peer.subject}, where no policy lets it in"
                    yield Fault("network-one-sided", subject_of(policy), why)


def _lacking(policy: Object, port: str | int, asked: list[Pods]) -> Iterator[Fault]:
    lacking = ", ".join(one.subject for one in asked if port not in one.ports)
    if lacking:
        why = f"names port {port!r}, which {lacking} lacks"
        yield Fault("network-port", subject_of(policy), why)


def _admits(cluster: Cluster, asked: Pods, asking: Pods, port: str | int) -> bool:
    """Whether a policy lets some pods in at a port of others."""
    number = asked.ports.get(port)
    for policy in cluster.of("NetworkPolicy"):
        if asked not in cluster.selected(match_labels(policy["spec"]["podSelector"])):
            continue
        for rule in policy["spec"].get("ingress", []):
            open_ports = [asked.ports.get(one["port"]) for one in rule.get("ports", [])]
            peers = [match_labels(one.get("podSelector", {})) for one in rule.get("from", [])]
            is_open = not open_ports or number in open_ports
            if is_open and (not peers or any(matches(one, asking.labels) for one in peers)):
                return True
    return False


def namespaces(cluster: Cluster) -> Iterator[Fault]:
    """Everything lives in the one namespace that is made."""
    (*made,) = (one["metadata"]["name"] for one in cluster.of("Namespace"))
    for one in cluster.objects:
        if one["kind"] != "Namespace" and [one["metadata"].get("namespace")] != made:
            why = f"is in {one['metadata'].get('namespace')!r}, made is {', '.join(made) or 'none'}"
            yield Fault("namespace", subject_of(one), why)
