"""Every rule finds the mismatch that is planted for it, and nothing in what is rendered."""

import copy

import pytest

from ci.kubernetes.kustomize import build, identity
from ci.kubernetes.objects import Cluster
from ci.kubernetes.rendering import overlay_of
from ci.kubernetes.validation import RULES, VERSIONS, faults, schema_faults
from tests.ci.kubernetes.sample import DIGESTS, ENVIRONMENT, load, rendered

MODEL, GATEWAY = "Deployment/model-7", "Deployment/gateway"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"
LABEL = "app.kubernetes.io/component"
# rule: [(object, path of a value, planted value; None takes it away), …]
PLANTED = {
    "selector": [
        (GATEWAY, "spec.selector.matchLabels", {LABEL: "door"}),
        (GATEWAY, "spec.selector.matchLabels", {"app.kubernetes.io/name": "pushcart"}),
    ],
    "spread": [
        (GATEWAY, f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels", {LABEL: "door"}),
        (GATEWAY, f"{POD}.topologySpreadConstraints", None),
    ],
    "rollout": [
        (MODEL, "spec.strategy.rollingUpdate.maxUnavailable", 1),
        (MODEL, "spec.strategy", None),
    ],
    "image-digest": [
        (MODEL, f"{CONTAINER}.image", "registry.example.com/shops/corner-model:7"),
        (MODEL, f"{CONTAINER}.image", f"corner-model@sha256:{'0' * 64}"),
    ],
    "probe": [(GATEWAY, f"{CONTAINER}.readinessProbe", None)],
    "probe-port": [
        (GATEWAY, f"{CONTAINER}.readinessProbe.httpGet.port", "htp"),
        (MODEL, f"{CONTAINER}.livenessProbe.tcpSocket.port", 8600),
    ],
    "resources": [
        (MODEL, f"{CONTAINER}.resources.limits", None),
        (MODEL, f"{CONTAINER}.resources.requests.cpu", None),
    ],
    "service-account": [(GATEWAY, f"{POD}.serviceAccountName", "default")],
    "security": [
        (GATEWAY, f"{POD}.automountServiceAccountToken", None),
        (GATEWAY, f"{POD}.securityContext.runAsUser", 0),
        (GATEWAY, f"{POD}.securityContext.seccompProfile", None),
        (MODEL, f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False),
        (MODEL, f"{CONTAINER}.securityContext.capabilities", None),
    ],
    "service-selector": [
        ("Service/gateway", f"spec.selector.{LABEL}", "door"),
        ("Service/gateway", "spec.selector", {"app.kubernetes.io/name": "pushcart"}),
    ],
    "service-port": [("Service/gateway", "spec.ports.0.targetPort", "rest")],
    "model-address": [
        (GATEWAY, f"{CONTAINER}.args", ["--model_address=model-6:8501"]),
        (GATEWAY, f"{CONTAINER}.args", ["--model_address=model-7:8500"]),
        (GATEWAY, f"{CONTAINER}.args", []),
    ],
    "model-version": [
        (MODEL, f"{CONTAINER}.readinessProbe.httpGet.path", "/v1/models/next_item"),
        (MODEL, f"{CONTAINER}.readinessProbe.httpGet.path", "/v1/models/next_item/versions/6"),
    ],
    "network-default": [("NetworkPolicy/default-deny", "spec.policyTypes", ["Ingress"])],
    "network-selector": [
        ("NetworkPolicy/gateway", f"spec.podSelector.matchLabels.{LABEL}", "door"),
        ("NetworkPolicy/model", f"spec.ingress.0.from.0.podSelector.matchLabels.{LABEL}", "door"),
    ],
    "network-port": [
        ("NetworkPolicy/model", "spec.ingress.0.ports.0.port", "http"),
        ("NetworkPolicy/gateway", "spec.egress.0.ports.0.port", "http"),
    ],
    "network-one-sided": [
        ("NetworkPolicy/model", "spec.ingress", None),
        ("NetworkPolicy/model", "spec.ingress.0.ports.0.port", "grpc"),
    ],
    "namespace": [("Service/gateway", "metadata.namespace", "default")],
    "scaling-target": [
        ("HorizontalPodAutoscaler/gateway", "spec.scaleTargetRef.name", "door"),
        ("HorizontalPodAutoscaler/gateway", "spec.scaleTargetRef.name", "model-7"),
    ],
    "scaling-range": [
        ("HorizontalPodAutoscaler/gateway", "spec.minReplicas", 1),
        ("HorizontalPodAutoscaler/gateway", "spec.maxReplicas", 2),
    ],
    "scaling-replicas": [(GATEWAY, "spec.replicas", 3)],
    "disruption-selector": [
        ("PodDisruptionBudget/gateway", f"spec.selector.matchLabels.{LABEL}", "door"),
        ("PodDisruptionBudget/gateway", "spec.selector.matchLabels", {}),
    ],
    "disruption-range": [
        ("PodDisruptionBudget/gateway", "spec.maxUnavailable", 0),
        ("PodDisruptionBudget/gateway", "spec.maxUnavailable", 3),
        ("PodDisruptionBudget/gateway", "spec.maxUnavailable", "50%"),
    ],
}
CASES = [(rule, *case) for rule, cases in PLANTED.items() for case in cases]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    files = rendered(load(tmp_path_factory.mktemp("cluster")))
    return build(files, overlay_of(ENVIRONMENT), DIGESTS)


@pytest.fixture
def objects(whole):
    return copy.deepcopy(whole)


def plant(objects, subject: str, path: str, value) -> None:
    (item,) = [one for one in objects if "/".join(identity(one)) == subject]
    label = next((key for key in (LABEL,) if path.endswith(key)), "")
    words = [*path.removesuffix(label).strip(".").split("."), *([label] if label else [])]
    for word in words[:-1]:
        item = item[int(word)] if isinstance(item, list) else item[word]
    if value is None:
        del item[words[-1]]
    else:
        item[words[-1]] = value


def test_what_is_rendered_has_no_fault(objects):
    assert faults(objects) == []


@pytest.mark.parametrize(("rule", "subject", "path", "value"), CASES)
def test_a_planted_mismatch_is_found(objects, rule, subject, path, value):
    plant(objects, subject, path, value)
    assert rule in {fault.rule for fault in faults(objects)}


def test_only_what_is_wrong_is_found(objects):
    plant(objects, "Service/gateway", "spec.ports.0.targetPort", "rest")
    (fault,) = faults(objects)
    assert fault.subject == "Service/gateway"
    assert fault.why == "leads to port 'rest', which Deployment/gateway lacks"


def test_every_rule_was_seen_to_find_something(objects):
    """A rule without a planted mismatch would be one that nobody knows to work."""
    silent = set(RULES)
    for _, subject, path, value in CASES:
        changed = copy.deepcopy(objects)
        plant(changed, subject, path, value)
        silent -= {rule for rule in RULES if list(rule(Cluster(changed)))}
    assert not silent


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_three_versions_accept_it(objects, version):
    assert schema_faults(objects, [version]) == []


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        (f"{CONTAINER}.readynessProbe", {}, "readynessProbe"),  # a typo, not a missing key
        ("spec.strategy.rollingUpdate.maxSurge", [1], "maxSurge"),
        (f"{POD}.terminationGracePeriodSeconds", "soon", "terminationGracePeriodSeconds"),
    ],
)
def test_the_schemas_refuse_typos_and_wrong_types(objects, path, value, seen):
    plant(objects, GATEWAY, path, value)
    (fault,) = schema_faults(objects, VERSIONS[-1:])
    assert (fault.rule, fault.subject) == ("schema", GATEWAY)
    assert seen in fault.why


def test_a_kind_that_a_version_does_not_have_is_refused(objects):
    objects[0]["apiVersion"] = "autoscaling/v2beta2"
    assert "Couldn't find schema" in schema_faults(objects, VERSIONS[:1])[0].why
