"""Which plugin owns each word of a Jenkinsfile: Jenkins' own linter knows no unknown step.

A step of a plugin that is not installed fails only when it runs, perhaps after hours of training.
So only these words are used; a new one comes with the plugin that it needs.
"""

from collections.abc import Iterator
from typing import Any, Final

from ci.jenkins.recording import Call

_DECLARATIVE = (
    "pipeline agent label options parameters triggers environment stages stage steps post always "
    "when input message submitterParameter beforeInput beforeAgent beforeOptions branch not "
    "changeRequest expression script skipStagesAfterUnstable"
)
OWNERS: Final = {
    word: plugin
    for plugin, words in {
        "pipeline-model-definition": _DECLARATIVE,
        "workflow-basic-steps": "echo error unstable timeout retry stash unstash archiveArtifacts",
        "workflow-durable-task-step": "sh agent",
        "workflow-cps": "nonresumable",
        "workflow-job": "buildDiscarder logRotator disableConcurrentBuilds pollSCM cron choice "
        "currentBuild.description",
        "credentials-binding": "withCredentials string file usernamePassword sshUserPrivateKey",
        "junit": "junit",
        "timestamper": "timestamps",
        "lockable-resources": "lock",
    }.items()
    for word in words.split()
}


def words_of(tree: Call) -> set[str]:
    """Every word that is called in a recorded Jenkinsfile, but for the variables it sets."""
    found = set()
    for call in tree.all():
        found |= {call.name, *_symbols(call.arguments)}
    variables = {inner.name for call in tree.all("environment") for inner in call.body}
    return found - variables


def _symbols(value: Any) -> Iterator[str]:
    """Names of the calls that stand inside arguments: `string(...)`, `agent()`."""
    if isinstance(value, dict) and set(value) == {"name", "arguments"}:
        yield str(value["name"])
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        yield from _symbols(part)
