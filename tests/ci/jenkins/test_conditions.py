"""A `when` in every situation, by hand."""

import pytest

from ci.errors import UsageError
from ci.jenkins.conditions import applies
from ci.jenkins.recording import Call

MAIN, CHANGE = {"BRANCH_NAME": "main"}, {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}


def when(*conditions):
    return Call("when", [], list(conditions))


BRANCH = Call("branch", ["main"])
IS_CHANGE = Call("changeRequest", [])
NO_CHANGE = Call("not", [], [IS_CHANGE])


@pytest.mark.parametrize(
    ("section", "on_main", "on_change"),
    [
        (None, True, True),
        (when(), True, True),
        (when(BRANCH), True, False),
        (when(BRANCH, NO_CHANGE), True, False),
        (when(Call("beforeAgent", [True]), IS_CHANGE), False, True),
        (when(Call("branch", ["PR-*"])), False, True),
        (when(Call("allOf", [], [BRANCH, IS_CHANGE])), False, False),
        (when(Call("anyOf", [], [BRANCH, IS_CHANGE])), True, True),
        (when(Call("expression", [], value=False)), False, False),
    ],
)
def test_it_lets_a_stage_run_or_not(section, on_main, on_change):
    assert (applies(section, MAIN), applies(section, CHANGE)) == (on_main, on_change)


def test_what_cannot_be_told_is_not_guessed():
    with pytest.raises(UsageError, match="`changeset` holds cannot be told without Jenkins"):
        applies(when(Call("changeset", ["docs/**"])), MAIN)
