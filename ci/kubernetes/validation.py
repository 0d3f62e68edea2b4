"""Holds manifests to Kubernetes' schemas and to what the schemas cannot say."""

from collections.abc import Callable, Iterator, Sequence

from ci.kubernetes import scaling, traffic, workloads
from ci.kubernetes.kustomize import Object
from ci.kubernetes.objects import Cluster, Fault, subject_of

# The newest that the schemas know, and three and six releases before it: two years of clusters.
VERSIONS = ("1.31", "1.34", "1.37")
RULES: tuple[Callable[[Cluster], Iterator[Fault]], ...] = (
    workloads.selectors,
    workloads.rollouts,
    workloads.images,
    workloads.probes,
    workloads.resources,
    workloads.security,
    traffic.services,
    traffic.model_address,
    traffic.policies,
    traffic.namespaces,
    scaling.autoscalers,
    scaling.budgets,
)


def faults(objects: Sequence[Object]) -> list[Fault]:
    """What the rules find in the objects of an environment."""
    cluster = Cluster(objects)
    return [fault for rule in RULES for fault in rule(cluster)]


def schema_faults(objects: Sequence[Object], versions: Sequence[str] = VERSIONS) -> list[Fault]:
    """What the schemas of some Kubernetes versions refuse; an unknown key is refused too."""
    # Needs the development environment: of all commands only `check` validates schemas.
    import kubernetes_validate  # noqa: PLC0415

    found = []
    for version in versions:
        for one in objects:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                why = f"Kubernetes {version}: {place}: {error.message}"
                found.append(Fault("schema", subject_of(one), why))
            except kubernetes_validate.SchemaNotFoundError as error:
                found.append(Fault("schema", subject_of(one), error.message))
    return found
