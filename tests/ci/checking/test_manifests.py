"""The checks of rendered templates are clean here, and find what is planted, where it is."""

import shutil

import pytest

from ci.checking.running import run_checks
from ci.checking.table import CHECKS
from ci.config import PROJECT, load_config
from tests.services import require_service

TABLE = {check.name: check for check in CHECKS}
TEMPLATES = "infra/templates"
# check: (template, what stands there, what is planted, rule, a word of why)
PLANTED = [
    ("templates", "report.md.j2", "{% endif %}", "{% endiff %}", "syntax", "endiff"),
    ("serving", "models.config.j2", "base_path:", "base_pth:", "text-proto", "base_pth"),
    ("serving", "models.config.j2", 'base_path: "/', 'base_path: "', "text-proto", "absolute"),
    (
        "serving",
        "batching_parameters.txt.j2",
        "max_batch_size",
        "max_batch_sizes",
        "text-proto",
        "max_batch_sizes",
    ),
    ("serving", "monitoring.config.j2", "enable: true", "enable: yes", "text-proto", "yes"),
    ("proxy", "haproxy.cfg.j2", "timeout connect", "timeout conect", "haproxy", "conect"),
    ("unit", "systemd.service.j2", "Restart=always", "Restart=allways", "unit", "allways"),
    ("notices", "notify/slack.json.j2", '"text": {{', '"text" {{', "message", "JSONDecodeError"),
    ("notices", "notify/feishu.json.j2", "| tojson", "", "message", "JSONDecodeError"),
    ("notices", "notify/mail.txt.j2", "message.title", "message.titel", "message", "titel"),
]


@pytest.fixture
def look(tmp_path):
    """Returns a function that lets a check look at a copy of the templates."""
    shutil.copytree(PROJECT / TEMPLATES, tmp_path / TEMPLATES)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/dev.lock").write_text("packaging==1.0\n")

    def look(name, known=None):
        if TABLE[name].service:
            require_service(TABLE[name].service)
        config = load_config(PROJECT / "pipeline.toml")
        (result,) = run_checks([TABLE[name]], config, tmp_path, tmp_path / "reports", known or {})
        return result

    return look


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: "-".join(one[:2]))
def test_a_planted_defect_is_found_in_its_template(look, tmp_path, planted):
    name, template, old, new, rule, word = planted
    clean = look(name)
    assert (clean.state, clean.findings) == ("clean", ())
    path = tmp_path / TEMPLATES / template
    good = path.read_text()
    assert old in good
    path.write_text(good.replace(old, new, 1))
    found = look(name, {name: clean.key}).findings
    assert {(one.file, one.rule) for one in found} == {(f"{TEMPLATES}/{template}", rule)}
    assert all(word in one.why and one.fix for one in found)
    assert f"{rule} {TEMPLATES}/{template}" in (tmp_path / f"reports/{name}.xml").read_text()


@pytest.mark.parametrize("planted", [PLANTED[number] for number in (0, 4, 5, 6)])
def test_the_line_is_the_templates(look, tmp_path, planted):
    name, template, old, new, *_ = planted
    path = tmp_path / TEMPLATES / template
    path.write_text(path.read_text().replace(old, new, 1))
    lines = path.read_text().splitlines()
    wanted = next(number for number, line in enumerate(lines, start=1) if new in line)
    assert {one.line for one in look(name).findings} == {wanted}


@pytest.mark.parametrize("name", ["serving", "proxy", "unit"])
def test_a_value_that_nobody_gives_breaks_the_check(look, tmp_path, name):
    for path in (tmp_path / TEMPLATES).glob("*.j2"):
        path.write_text(path.read_text() + "{{ nobody_knows }}")
    (finding,) = look(name).findings
    assert finding.rule == f"{name}-broken"
    assert "nobody_knows" in finding.why
