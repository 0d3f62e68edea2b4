"""What Jenkins would tell of only when a build comes to it, planted and found offline."""

import shutil

import pytest

from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, load_config
from tests.services import require_service

FILES = (
    "Jenkinsfile",
    "infra/jenkins/rollback.Jenkinsfile",
    "infra/jenkins/jenkins.yaml",
    "infra/jenkins/plugins.txt",
    "requirements/dev.lock",
)
# name: (file, what is there, what is planted instead, the finding's file, its line's text, rule)
PLANTED = {
    "a step that no plugin is known for": (
        "Jenkinsfile",
        "junit testResults:",
        "recordIssues testResults:",
        "Jenkinsfile",
        "recordIssues testResults:",
        "unowned-step",
    ),
    "a step whose plugin is not installed": (
        "infra/jenkins/plugins.txt",
        "lockable-resources:",
        "# lockable-resources:",
        "Jenkinsfile",
        "lock('pushcart-gpu')",
        "unlisted-plugin",
    ),
    "a credential that is not defined": (
        "infra/jenkins/jenkins.yaml",
        "id: signing-key",
        "id: signing-keys",
        "Jenkinsfile",
        "credentialsId: 'signing-key'",
        "unknown-credential",
    ),
    "a credential whose name is chosen": (
        "infra/jenkins/rollback.Jenkinsfile",
        "'production'],",
        "'production', 'shanghai'],",
        "infra/jenkins/rollback.Jenkinsfile",
        "deploy-key-",
        "unknown-credential",
    ),
    "a label without an agent": (
        "Jenkinsfile",
        "label 'gpu'",
        "label 'tpu'",
        "Jenkinsfile",
        "label 'tpu'",
        "no-agent",
    ),
    "a lock that is not declared": (
        "infra/jenkins/jenkins.yaml",
        "name: pushcart-staging",
        "name: staging",
        "Jenkinsfile",
        "lock('pushcart-staging')",
        "no-lock",
    ),
    "a plugin without a version": (
        "infra/jenkins/plugins.txt",
        "timestamper:1.30",
        "timestamper",
        "infra/jenkins/plugins.txt",
        "timestamper",
        "unpinned-plugin",
    ),
    "a section of a plugin that is not installed": (
        "infra/jenkins/plugins.txt",
        "matrix-auth:",
        "# matrix-auth:",
        "infra/jenkins/jenkins.yaml",
        "globalMatrix:",
        "unlisted-plugin",
    ),
    "a section that nobody knows": (
        "infra/jenkins/jenkins.yaml",
        "unclassified:\n",
        "unclassified:\n  globalLibraries: {}\n",
        "infra/jenkins/jenkins.yaml",
        "globalLibraries",
        "unowned-key",
    ),
}


@pytest.fixture
def look(tmp_path):
    """Returns a function that looks at a copy of what the check reads."""
    require_service("groovy")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    check = next(check for check in CHECKS if check.name == "jenkins")

    def look():
        config = load_config(PROJECT / "pipeline.toml")
        (result,) = run_checks([check], config, tmp_path, tmp_path / "reports", {})
        return result

    return look


def test_what_is_shipped_is_clean(look):
    result = look()
    assert (result.state, result.findings) == ("clean", ())
    assert result.files == 4


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_where_it_is(look, tmp_path, name):
    file, good, bad, found_in, text, rule = PLANTED[name]
    content = (tmp_path / file).read_text("utf-8")
    assert good in content
    (tmp_path / file).write_text(content.replace(good, bad, 1), "utf-8")
    findings = look().findings
    told = [
        one for one in findings if (one.file, one.rule) == (found_in, rule) and one.line and one.fix
    ]
    assert told, findings
    lines = (tmp_path / found_in).read_text("utf-8").splitlines()
    assert any(text in lines[one.line - 1] for one in told)


def test_a_file_that_groovy_cannot_run_is_a_finding(look, tmp_path):
    (tmp_path / "Jenkinsfile").write_text("pipeline {\n  stages {\n", "utf-8")
    (finding,) = look().findings
    assert finding.rule == "jenkins-broken"
    assert "Jenkinsfile" in finding.why
