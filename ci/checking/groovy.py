"""Parses the Jenkinsfiles with the Groovy that Jenkins embeds."""

import re
import subprocess
import tempfile
from pathlib import Path

from ci.checking.check import BrokenCheckError, Finding, Outcome, Scene
from ci.services import GROOVY_JAR

PARSER = """\
import org.codehaus.groovy.control.*
args.each { name ->
  try {
    def unit = new CompilationUnit()
    unit.addSource(new File(name))
    unit.compile(Phases.CONVERSION)
  } catch (MultipleCompilationErrorsException error) {
    error.errorCollector.errors.each { one ->
      def cause = one.cause
      println "${name}\\t${cause.line}\\t${cause.originalMessage.readLines()[0]}"
    }
  }
}
"""


def groovy(scene: Scene) -> Outcome:
    """Syntax errors of the Jenkinsfiles."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "parse.groovy"
        script.write_text(PARSER, encoding="utf-8")
        command = ["java", "-cp", str(GROOVY_JAR), "groovy.ui.GroovyMain", str(script)]
        done = subprocess.run(
            [*command, *map(str, scene.files)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise BrokenCheckError(f"Groovy failed: {done.stderr.strip()[-2000:]}")
    found = re.findall(r"^(.+)\t(\d+)\t(.+)$", done.stdout, re.MULTILINE)
    return Outcome(
        tuple(Finding(scene.name(name), int(line), "syntax", why) for name, line, why in found)
    )
