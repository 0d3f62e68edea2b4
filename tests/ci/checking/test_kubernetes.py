"""The check `kubernetes` renders what lies in the project and finds what is planted there."""

import shutil

import pytest

from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, load_config

(CHECK,) = [check for check in CHECKS if check.name == "kubernetes"]
BASE = "infra/templates/kubernetes/base"


@pytest.fixture
def look(tmp_path):
    """Returns a function that lets the check look at a copy of the templates."""
    shutil.copytree(PROJECT / "infra/templates", tmp_path / "infra/templates")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/dev.lock").write_text("packaging==1.0\n")

    def look(name="", old="", new=""):
        if name:
            path = tmp_path / BASE / name
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        config = load_config(PROJECT / "pipeline.toml")
        (result,) = run_checks([CHECK], config, tmp_path, tmp_path / "reports", {})
        return result

    return look


def test_the_projects_own_templates_are_clean(look):
    result = look()
    assert (result.state, result.files) == ("clean", 9)
    assert result.note == "13 objects for sample, Kubernetes 1.31, 1.34, 1.37"


@pytest.mark.parametrize(
    ("planted", "rule"),
    [
        (("gateway.yaml.j2", "targetPort: http", "targetPort: rest"), "service-port"),
        (("gateway.yaml.j2", "readinessProbe", "readynessProbe"), "schema"),
        (("model.yaml.j2", "maxUnavailable: 0", "maxUnavailable: 1"), "rollout"),
        (("gateway.yaml.j2", "  strategy:", "  replicas: 2\n  strategy:"), "scaling-replicas"),
    ],
)
def test_a_planted_defect_is_found_in_its_template(look, tmp_path, planted, rule):
    template = f"{BASE}/{planted[0]}"
    found = {(one.file, one.rule) for one in look(*planted).findings}
    assert found == {(template, rule)}
    assert f"{rule} {template}" in (tmp_path / "reports/kubernetes.xml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("pushcart-model", "{{ nobody_knows }}", "nobody_knows"),
        ("spec:", "spec: [", "environment sample"),
        ("pushcart-model", "elsewhere", "no container has the image"),
    ],
)
def test_what_cannot_be_rendered_is_a_finding(look, old, new, why):
    (finding,) = look("model.yaml.j2", old, new).findings
    assert finding.rule == "kubernetes-broken"
    assert why in finding.why
