"""Fills the templates for a sample release and shows them to the programs that will read them."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from jinja2 import Environment, TemplateError, TemplateSyntaxError

from ci.checking.check import BrokenCheckError, Finding, Outcome, Scene
from ci.config import Config
from ci.notifying import bodies
from ci.notifying.news import LABELS, Happening, News, write
from ci.services import find_program
from ci.settings import EVENTS, EnvironmentSettings, WebhookSettings
from ci.stages import render
from ci.templating import fill
from model.bundle.card import BATCH_SIZES
from serving.embedded import config_files
from serving.embedded.status import ServingError

TEMPLATES: Final = "infra/templates"
SAMPLE, SAMPLE_VERSION = "sample", 7
SAMPLE_CARD: Final = {"batch_sizes": list(BATCH_SIZES)}
READERS: Final[dict[str, Callable[[Path], object]]] = {
    "models.config": lambda path: config_files.model_settings(config_files.read_model_config(path)),
    "batching_parameters.txt": config_files.read_batching,
    "monitoring.config": config_files.read_metrics_path,
}
# The worst that people and build servers write.
WILD: Final = 'it\'s "50 %" <b>\\ {{ x }}\n界'


def templates(scene: Scene) -> Outcome:
    """Syntax of every Jinja template."""
    jinja = Environment(autoescape=True)
    findings = []
    for path in scene.files:
        try:
            jinja.parse(path.read_text("utf-8"))
        except TemplateSyntaxError as error:
            why, fix = str(error.message), "see Jinja's template designer documentation"
            findings.append(Finding(scene.name(path), error.lineno, "syntax", why, fix))
    return Outcome(tuple(findings))


def serving(scene: Scene) -> Outcome:
    """The model server's text protos, read as the model server reads them."""
    texts = _filled(scene, _sample(scene.config, "process"), {}, render.MODEL_SERVER)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            try:
                READERS[name](path)
            except ServingError as error:
                why = str(error).replace(f"{path}: ", "").replace(f"{path} ", "")
                findings.append(_finding(scene, name, text, "text-proto", why))
    return Outcome(tuple(findings))


def proxy(scene: Scene) -> Outcome:
    """HAProxy's own check of its configuration, for each target that has one."""
    program, findings = find_program("haproxy"), []
    for target in ("compose", "hosts"):
        with tempfile.TemporaryDirectory() as folder:
            live = Path(folder) / "live.map"
            live.write_text("live blue\n", encoding="utf-8")
            changed = {"proxy_map": live, "proxy_socket": f"{folder}/proxy.sock"}
            text = _filled(scene, _sample(scene.config, target), changed, ["haproxy.cfg"])
            path = Path(folder) / "haproxy.cfg"
            path.write_text(text["haproxy.cfg"], encoding="utf-8")
            done = _run([program, "-c", "-f", path])
        findings += [
            _finding(scene, "haproxy.cfg", text["haproxy.cfg"], "haproxy", why)
            for why in _told(done.stderr, rf"^\[(?:ALERT|WARNING)\].*?({re.escape(str(path))}:.*)$")
        ]
        if done.returncode and not findings:
            raise BrokenCheckError(
                f"haproxy -c ended with {done.returncode}: {done.stderr[-2000:]}"
            )
    return Outcome(tuple(dict.fromkeys(findings)))


def unit(scene: Scene) -> Outcome:
    """The rendered unit, as systemd reads it."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv/bin/python"  # the unit's program must be there
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        changed = {"installed": folder}
        text = _filled(scene, _sample(scene.config, "process"), changed, ["systemd.service"])
        path = Path(folder) / "sample.service"
        path.write_text(text["systemd.service"], encoding="utf-8")
        done = _run([find_program("systemd-analyze"), "verify", path])
    told = [line for line in done.stderr.splitlines() if path.name in line]
    if done.returncode and not told:
        raise BrokenCheckError(
            f"systemd-analyze ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    return Outcome(
        tuple(
            _finding(scene, "systemd.service", text["systemd.service"], "unit", one) for one in told
        )
    )


def notices(scene: Scene) -> Outcome:
    """Every message in every language: robots take JSON, and no robot more than its most."""
    findings = []
    kinds = get_args(WebhookSettings.model_fields["kind"].annotation)
    for language in LABELS:
        for what in get_args(Happening):
            news = News(EVENTS[0], what, SAMPLE, SAMPLE, reason=WILD, override=WILD, link=WILD)
            message = write(news, language)
            folder = scene.project / TEMPLATES / "notify"
            for kind in kinds:
                try:
                    bodies.body_of(kind, news, message, language, folder)
                except (TemplateError, ValueError) as error:
                    findings.append(_broken(f"notify/{kind}.json", error))
            try:
                bodies.mail_text(news, message, language, folder)
            except TemplateError as error:
                findings.append(_broken("notify/mail.txt", error))
    return Outcome(tuple(dict.fromkeys(findings)))


def _broken(name: str, error: Exception) -> Finding:
    line = error.lineno if isinstance(error, TemplateSyntaxError) else 0
    why = f"{type(error).__name__}: {error}".partition("\n")[0]
    return Finding(
        f"{TEMPLATES}/{name}.j2", line, "message", why, "render it in tests/ci/notifying"
    )


def _sample(config: Config, target: str) -> Config:
    """The settings with one environment of a target more."""
    one = EnvironmentSettings.model_validate({"target": target})
    environments = {**config.settings.environments, SAMPLE: one}
    settings = config.settings.model_copy(update={"environments": environments})
    return Config(settings, config.path, config.options)


def _filled(
    scene: Scene, config: Config, changed: Mapping[str, Any], names: Iterable[str]
) -> dict[str, str]:
    """The text of each template for the sample.

    Raises:
        BrokenCheckError: A template cannot be filled.
    """
    values = render.values(config, SAMPLE, SAMPLE_VERSION, SAMPLE_CARD)
    try:
        return fill(
            scene.project / TEMPLATES, {name: name for name in names}, {**values, **changed}
        )
    except TemplateError as error:
        raise BrokenCheckError(f"{', '.join(names)}: {error}") from error


def _run(command: list[Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def _told(text: str, pattern: str) -> list[str]:
    return re.findall(pattern, text, re.MULTILINE)


def _finding(scene: Scene, name: str, text: str, rule: str, why: str) -> Finding:
    """A finding in a rendered text, at the template's line where that is the same."""
    place = re.search(r":(\d+)[:\]\s]|\s(\d+):\d+ : ", why)
    line = 0
    if place:
        lines = text.splitlines()
        number = int(place[1] or place[2])
        shown = lines[number - 1] if 0 < number <= len(lines) else ""
        template = (scene.project / TEMPLATES / f"{name}.j2").read_text("utf-8").splitlines()
        line = template.index(shown) + 1 if shown in template else 0
    return Finding(f"{TEMPLATES}/{name}.j2", line, rule, why, "see the template's own comments")
