"""The table of checks, in the order of their speed."""

from ci.checking import dependencies, groovy, jenkins, kubernetes, linters, manifests, testing
from ci.checking.check import Check

PYTHON = (
    *("ci/*.py", "model/*.py", "serving/*.py", "tests/*.py", "benchmarks/*.py"),
    "docs/notebooks/*.py",
)
LOCKS = ("requirements/*.lock",)
PROTOS = (
    *("infra/templates/models.config.j2", "infra/templates/batching_parameters.txt.j2"),
    "infra/templates/monitoring.config.j2",
)
# What the sample release is rendered by.
RENDERING = (
    *("ci/stages/render.py", "ci/systemd.py", "ci/templating.py", "ci/settings.py"),
    *("pipeline.toml", "serving/embedded/*.py"),
)

CHECKS = (
    Check("locks", "locks fit requirements.txt", LOCKS, dependencies.locks, ("requirements*",)),
    Check("licences", "no licence that binds a service", LOCKS, dependencies.licences),
    Check(
        "advisories",
        "no pinned version with a known vulnerability",
        LOCKS,
        dependencies.advisories,
        is_cached=False,
    ),
    Check("ruff", "faults and style of Python", PYTHON, linters.ruff, ("pyproject.toml",)),
    Check("format", "layout of Python", PYTHON, linters.ruff_format, ("pyproject.toml",)),
    Check(
        "yaml", "layout and traps of YAML", ("*.yml", "*.yaml"), linters.yamllint, (".yamllint",)
    ),
    Check(
        "docker", "traps of Dockerfiles", ("*Dockerfile",), linters.hadolint, (".hadolint.yaml",)
    ),
    Check(
        "shell",
        "traps of shell scripts",
        ("bin/ci", ".ci/run", "infra/jenkins/post-receive", "*.sh"),
        linters.shellcheck,
    ),
    Check("groovy", "syntax of Jenkinsfiles", ("*Jenkinsfile",), groovy.groovy, service="groovy"),
    Check(
        "jenkins",
        "steps, credentials, labels and locks of the Jenkinsfiles against the controller's set-up",
        ("Jenkinsfile", "infra/jenkins/*.Jenkinsfile"),
        jenkins.jenkins,
        ("infra/jenkins/jenkins.yaml", "infra/jenkins/plugins.txt", "ci/jenkins/*"),
        service="groovy",
    ),
    Check(
        "kubernetes",
        "manifests by the schemas of three Kubernetes versions, and by what they must mean",
        ("infra/templates/kubernetes/*",),
        kubernetes.kubernetes,
        ("ci/kubernetes/*.py", "ci/templating.py", "ci/settings.py", "pipeline.toml"),
    ),
    Check("templates", "syntax of Jinja templates", ("*.j2",), manifests.templates),
    Check(
        "serving",
        "the model server's text protos, as it reads them",
        PROTOS,
        manifests.serving,
        RENDERING,
    ),
    Check(
        "proxy",
        "HAProxy's own check of its configuration",
        ("infra/templates/haproxy.cfg.j2",),
        manifests.proxy,
        RENDERING,
        service="haproxy",
    ),
    Check(
        "unit",
        "systemd's own check of its unit",
        ("infra/templates/systemd.service.j2",),
        manifests.unit,
        RENDERING,
        service="systemd",
    ),
    Check(
        "notices",
        "every message in every language is what its robot takes",
        ("infra/templates/notify/*.j2",),
        manifests.notices,
        ("ci/notifying/*.py", "ci/templating.py", "ci/settings.py"),
    ),
    Check(
        "ansible",
        "roles and playbooks by the profile production",
        ("infra/ansible/*.yml", "infra/ansible/*.j2"),
        linters.ansible_lint,
        ("infra/ansible/ansible.cfg",),
    ),
    Check("secrets", "no key or password in the tree", ("*",), linters.secrets),
    Check("types", "types of Python", ("ci/*.py", "serving/*.py"), linters.mypy, ("model/*.py",)),
    Check("tests", "the tests, with coverage", ("tests/*.py",), testing.tests, is_cached=False),
)
