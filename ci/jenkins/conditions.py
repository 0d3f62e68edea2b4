"""Evaluates the `when` of a stage as Jenkins does, from what a build knows."""

import fnmatch
from collections.abc import Callable, Mapping

from ci.errors import UsageError
from ci.jenkins.recording import Call

Env = Mapping[str, str]
# When a `when` is looked at: before the agent is taken, the lock is held, the question is asked.
ORDERING = ("beforeAgent", "beforeOptions", "beforeInput")


def applies(when: Call | None, env: Env) -> bool:
    """Whether a `when` lets its stage run: all its conditions hold.

    Args:
        when: The section; None where there is none.
        env: The build's variables.

    Raises:
        UsageError: It has a condition that cannot be told here.
    """
    return when is None or all(_holds(one, env) for one in when.body if one.name not in ORDERING)


def _holds(condition: Call, env: Env) -> bool:
    if condition.name not in MEANING:
        raise UsageError(
            f"Whether `{condition.name}` holds cannot be told without Jenkins; of these it can: "
            f"{', '.join(MEANING)}. Say it by one of them, or teach ci/jenkins/conditions.py."
        )
    return MEANING[condition.name](condition, env)


def _matches_branch(condition: Call, env: Env) -> bool:
    return fnmatch.fnmatch(env.get("BRANCH_NAME", ""), condition.title)


MEANING: dict[str, Callable[[Call, Env], bool]] = {
    "branch": _matches_branch,
    "changeRequest": lambda _, env: "CHANGE_ID" in env,
    "expression": lambda condition, _: condition.value,
    "not": lambda condition, env: not _holds(condition.body[0], env),
    "allOf": lambda condition, env: all(_holds(one, env) for one in condition.body),
    "anyOf": lambda condition, env: any(_holds(one, env) for one in condition.body),
}
