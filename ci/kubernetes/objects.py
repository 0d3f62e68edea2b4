"""A set of Kubernetes objects as the rules look at it: who selects whom, and what is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ci.kubernetes.kustomize import Object, identity, pod_spec

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Fault:
    """Something that the schemas allow and that cannot be meant.

    Attributes:
        rule: Its name.
        subject: `Kind/name` of the object.
        why: What is wrong, with the value seen.
    """

    rule: str
    subject: str
    why: str


@dataclass(frozen=True)
class Pods:
    """The pods that one object makes.

    Attributes:
        maker: The object, a Deployment.
        labels: What each pod is labelled with.
        spec: What each pod is.
    """

    maker: Object
    labels: Labels
    spec: Object

    @property
    def subject(self) -> str:
        """`Kind/name` of the maker."""
        return subject_of(self.maker)

    @property
    def containers(self) -> list[Object]:
        """Its containers."""
        containers: list[Object] = self.spec["containers"]
        return containers

    @property
    def ports(self) -> dict[str | int, int]:
        """Number of every port, by that number and by its name."""
        listed = [port for one in self.containers for port in one.get("ports", [])]
        numbers: dict[str | int, int] = {
            one["containerPort"]: one["containerPort"] for one in listed
        }
        return numbers | {one["name"]: one["containerPort"] for one in listed if "name" in one}


@dataclass(frozen=True)
class Cluster:
    """All objects of an environment."""

    objects: Sequence[Object]

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of some kinds."""
        return (one for one in self.objects if one["kind"] in kinds)

    def find(self, kind: str, name: str) -> Object | None:
        """One object, or None."""
        return next((one for one in self.objects if identity(one) == (kind, name)), None)

    @cached_property
    def pods(self) -> list[Pods]:
        """The pods of every Deployment."""
        found = []
        for one in self.objects:
            if spec := pod_spec(one):
                labels = one["spec"]["template"].get("metadata", {}).get("labels", {})
                found.append(Pods(one, labels, spec))
        return found

    def selected(self, labels: Labels) -> list[Pods]:
        """The pods that have all of some labels."""
        return [one for one in self.pods if matches(labels, one.labels)]

    def replicas(self, name: str) -> tuple[int, int]:
        """Fewest and most pods of a Deployment."""
        for scaler in self.of("HorizontalPodAutoscaler"):
            if scaler["spec"]["scaleTargetRef"]["name"] == name:
                spec = scaler["spec"]
                return int(spec.get("minReplicas", 1)), int(spec["maxReplicas"])
        fixed = int((self.find("Deployment", name) or {"spec": {}})["spec"].get("replicas", 1))
        return fixed, fixed


def matches(wanted: Labels, labels: Labels) -> bool:
    """Whether labels are all that a selector wants."""
    return wanted.items() <= labels.items()


def match_labels(selector: Mapping[str, Any]) -> Labels:
    """What a selector wants.

    Raises:
        ValueError: It uses expressions, which no rule here understands.
    """
    if selector.get("matchExpressions"):
        raise ValueError(f"the selector {dict(selector)} uses matchExpressions")
    labels: Labels = selector.get("matchLabels", {})
    return labels


def subject_of(item: Object) -> str:
    """`Kind/name`."""
    return "/".join(identity(item))


def show(labels: Labels) -> str:
    """Labels as `kubectl` writes them."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
