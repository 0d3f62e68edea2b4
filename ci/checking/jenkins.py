"""Holds the Jenkinsfiles and the controller's configuration to each other, without a Jenkins.

Jenkins tells of an unknown step, a missing credential or a label without an agent when a build
comes to it, perhaps after hours of training.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ci.checking.check import Finding, Outcome, Scene
from ci.jenkins.owners import OWNERS, words_of
from ci.jenkins.plan import credentials_of
from ci.jenkins.recording import Call, Situation, record
from ci.jenkins.scenarios import SCENARIOS

CONFIGURATION: Final = "infra/jenkins/jenkins.yaml"
PLUGINS: Final = "infra/jenkins/plugins.txt"
# Keys of the configuration that a plugin gives a meaning to; others are Jenkins' own.
CONFIGURED_BY: Final = {
    "globalMatrix": "matrix-auth",
    "ssh": "ssh-slaves",
    "credentials": "credentials",
    "basicSSHUserPrivateKey": "ssh-credentials",  # pragma: allowlist secret
    "usernamePassword": "credentials",  # pragma: allowlist secret
    "string": "plain-credentials",
    "file": "plain-credentials",
    "gitHostKeyVerificationConfiguration": "git-client",
    "lockableResourcesManager": "lockable-resources",
}
OWN: Final = {"location"}  # keys of `unclassified` and `security` that need no plugin


def jenkins(scene: Scene) -> Outcome:
    """Steps, credentials, labels, locks and configuration that nothing stands behind."""
    plugins = _plugins(scene)
    configuration = _Text(scene, scene.project / CONFIGURATION)
    known = _Known(yaml.safe_load(configuration.text), plugins)
    findings = [*_unpinned(scene, plugins), *_configured(configuration, plugins)]
    for path in scene.files:
        text = _Text(scene, path)
        found = {finding for tree in _trees(path) for finding in _used(tree, text, known)}
        findings += sorted(found, key=lambda one: (one.line, one.rule, one.why))
    return Outcome(tuple(findings), looked_at=len(scene.files) + 2)


class _Text:
    """A file whose findings are told with the line that names their subject."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self.name, self.text = scene.name(path), path.read_text("utf-8")

    def finding(self, subject: str, rule: str, why: str, fix: str) -> Finding:
        end = r"(?![\w-])" if subject[-1:].isalnum() else ""
        word = re.compile(rf"(?<![\w-]){re.escape(subject)}{end}")
        lines = self.text.splitlines()
        line = next((place for place, one in enumerate(lines, 1) if word.search(one)), 0)
        return Finding(self.name, line, rule, why, fix)


class _Known:
    """What the configuration has for builds."""

    def __init__(self, content: Any, plugins: Mapping[str, str]) -> None:
        self.plugins = plugins
        self.credentials = {str(one["id"]) for one in _mappings(content) if "scope" in one}
        nodes = [one for one in _mappings(content) if "labelString" in one]
        self.labels = {label for one in nodes for label in str(one["labelString"]).split()}
        declared = [one.get("declaredResources", ()) for one in _mappings(content)]
        self.locks = {str(one["name"]) for one in itertools.chain.from_iterable(declared)}


def _plugins(scene: Scene) -> dict[str, str]:
    """Plugin → version; "" where none is given."""
    lines = (scene.project / PLUGINS).read_text("utf-8").splitlines()
    pairs = (line.partition(":") for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): version.strip() for name, _, version in pairs}


def _unpinned(scene: Scene, plugins: Mapping[str, str]) -> Iterator[Finding]:
    text = _Text(scene, scene.project / PLUGINS)
    for name, version in plugins.items():
        if not re.match(r"\d", version):
            why = f"{name} has no version: two controllers would differ"
            yield text.finding(name, "unpinned-plugin", why, f"write {name}:VERSION")


def _configured(text: _Text, plugins: Mapping[str, str]) -> Iterator[Finding]:
    """Keys of the configuration whose plugin is not installed, and keys that nobody knows."""
    content = yaml.safe_load(text.text) or {}
    for key in sorted({str(key) for one in _mappings(content) for key in one} & set(CONFIGURED_BY)):
        if (plugin := CONFIGURED_BY[key]) not in plugins:
            why = f"{key} is of the plugin {plugin}, which {PLUGINS} does not list"
            yield text.finding(f"{key}:", "unlisted-plugin", why, f"add {plugin}:VERSION")
    for section in ("security", "unclassified"):
        for key in content.get(section) or {}:
            if key not in CONFIGURED_BY and key not in OWN:
                why = f"nobody knows which plugin {section}.{key} is of"
                yield text.finding(
                    f"{key}:", "unowned-key", why, "add it to ci/checking/jenkins.py"
                )


def _trees(path: Path) -> list[Call]:
    """The file as each occasion and each choice of its form runs it."""
    situations = [scenario.situation for scenario in SCENARIOS.values() if not scenario.params]
    trees = record(path, situations)
    choices = {
        one.named["name"]: one.named["choices"] for one in trees[0].all("choice") if one.named
    }
    if not choices:
        return trees
    filled = itertools.product(*choices.values())
    forms = [dict(zip(choices, values, strict=True)) for values in filled]
    return record(path, [Situation(form, form) for form in forms])


def _used(tree: Call, text: _Text, known: _Known) -> Iterator[Finding]:
    """What a recorded file uses and nothing stands behind."""
    yield from _steps(words_of(tree), text, known.plugins)
    for call in tree.all("withCredentials"):
        for one in credentials_of(call):
            if one not in known.credentials:
                why = f"no credential has the id {one}"
                fix = f"define it in {CONFIGURATION}, docs/secrets.md"
                yield text.finding(_named(one, text), "unknown-credential", why, fix)
    for call in tree.all("label"):
        if call.title not in known.labels:
            fix = f"give an agent of {CONFIGURATION} this label"
            yield text.finding(call.title, "no-agent", f"no agent has the label {call.title}", fix)
    for call in tree.all("lock"):
        if call.title not in known.locks:
            why = f"{call.title} is no lockable resource"
            fix = f"declare it in {CONFIGURATION}"
            yield text.finding(_named(call.title, text), "no-lock", why, fix)


def _steps(words: Iterable[str], text: _Text, plugins: Mapping[str, str]) -> Iterator[Finding]:
    for word in sorted(words):
        plugin = OWNERS.get(word)
        if plugin is None:
            why = f"nobody knows which plugin {word} is of"
            yield text.finding(word, "unowned-step", why, "add it to ci/jenkins/owners.py")
        elif plugin not in plugins:
            why = f"{word} is of the plugin {plugin}, which {PLUGINS} does not list"
            yield text.finding(word, "unlisted-plugin", why, f"add {plugin}:VERSION")


def _named(subject: str, text: _Text) -> str:
    """How a file writes a name whose end is chosen when it runs: `deploy-key-${…}`."""
    return subject if subject in text.text else subject[: subject.rfind("-") + 1]


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping at any depth."""
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    for inner in value if isinstance(value, Sequence) and not isinstance(value, str) else ():
        yield from _mappings(inner)
