"""Renders the Kubernetes manifests of a sample release and holds them to schemas and rules."""

from collections.abc import Mapping

import yaml
from jinja2 import TemplateError

from ci.checking.check import BrokenCheckError, Finding, Outcome, Scene
from ci.config import Config
from ci.kubernetes import kustomize, rendering
from ci.kubernetes.objects import Fault, subject_of
from ci.kubernetes.validation import VERSIONS, faults, schema_faults
from ci.settings import EnvironmentSettings
from ci.templating import fill

SAMPLE, SAMPLE_VERSION = "sample", 7
DIGESTS = {"pushcart-model": f"sha256:{'1a' * 32}", "pushcart-gateway": f"sha256:{'2b' * 32}"}
TEMPLATES = "infra/templates"


def kubernetes(scene: Scene) -> Outcome:
    """Faults of a sample environment, and of every one that has target kubernetes."""
    config = with_sample(scene.config)
    environments = [
        name for name, one in config.settings.environments.items() if one.target == "kubernetes"
    ]
    findings: list[Finding] = []
    looked_at = objects = 0
    for name in environments:
        try:
            wanted = rendering.files(name)
            values = rendering.values(config, name, SAMPLE_VERSION)
            files = fill(scene.project / TEMPLATES, wanted, values)
            built = kustomize.build(files, rendering.overlay_of(name), DIGESTS)
            found = schema_faults(built) or faults(built)  # the rules rely on the schemas
            places = _places(files, wanted)
        except (TemplateError, yaml.YAMLError) as error:
            raise BrokenCheckError(f"environment {name}: {error}") from error
        findings += [_finding(fault, places) for fault in found]
        looked_at, objects = looked_at + len(files), objects + len(built)
    note = f"{objects} objects for {', '.join(environments)}, Kubernetes {', '.join(VERSIONS)}"
    return Outcome(tuple(dict.fromkeys(findings)), note, looked_at)


def with_sample(config: Config) -> Config:
    """The settings with one environment of target kubernetes more."""
    sample = EnvironmentSettings(target="kubernetes")
    environments = {**config.settings.environments, SAMPLE: sample}
    settings = config.settings.model_copy(update={"environments": environments})
    return Config(settings, config.path, config.options)


def _places(files: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The template that each object comes from; the base's, where an overlay patches it."""
    places: dict[str, str] = {}
    for path, text in files.items():
        for one in yaml.safe_load_all(text):
            if "metadata" in one:
                places.setdefault(subject_of(one), f"{TEMPLATES}/{wanted[path]}.j2")
    return places


def _finding(fault: Fault, places: Mapping[str, str]) -> Finding:
    file = places.get(fault.subject, f"{TEMPLATES}/kubernetes")
    return Finding(file, 0, fault.rule, f"{fault.subject} {fault.why}")
