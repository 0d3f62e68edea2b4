"""The occasions on which Jenkins runs one of the Jenkinsfiles."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ci.config import PROJECT
from ci.jenkins.recording import Situation

JENKINSFILE: Final = PROJECT / "Jenkinsfile"
ROLLBACK: Final = PROJECT / "infra/jenkins/rollback.Jenkinsfile"


@dataclass(frozen=True)
class Scenario:
    """One occasion.

    Attributes:
        name: As typed after `--scenario`.
        summary: One line for people.
        env: The variables that tell the occasion, beside those of every build.
        jenkinsfile: What runs.
        params: The build's parameters.
        is_superseded: Whether a newer build of the same branch has come.
    """

    name: str
    summary: str
    env: dict[str, str] = field(default_factory=dict)
    jenkinsfile: Path = JENKINSFILE
    params: dict[str, str] = field(default_factory=dict)
    is_superseded: bool = False

    @property
    def situation(self) -> Situation:
        """What the recorder is told; parameters are variables too."""
        return Situation({**self.env, **self.params}, self.params)


PULL_REQUEST: Final = {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_TARGET": "main"}
SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("pull-request", "a pull request of this repository", PULL_REQUEST),
        Scenario(
            "fork",
            "a pull request of a stranger's fork",
            {**PULL_REQUEST, "CHANGE_FORK": "stranger"},
        ),
        Scenario("branch", "a push to another branch than main", {"BRANCH_NAME": "feature/blend"}),
        Scenario("main", "a push to main", {"BRANCH_NAME": "main"}),
        Scenario("nightly", "main, started by its clock", {"BRANCH_NAME": "main"}),
        Scenario(
            "superseded",
            "a pull request to which a newer commit was pushed",
            PULL_REQUEST,
            is_superseded=True,
        ),
        Scenario(
            "queued",
            "main, to which a newer commit was pushed",
            {"BRANCH_NAME": "main"},
            is_superseded=True,
        ),
        Scenario(
            "rollback",
            "the job that goes back to a former release",
            jenkinsfile=ROLLBACK,
            params={"ENVIRONMENT": "production", "RELEASE": ""},
        ),
    )
}
