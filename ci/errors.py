"""Every way a command can end other than well, as one tree.

PushcartError                exit 1   a bug: nothing below fits
├── UsageError               exit 2   wrong usage or configuration
├── BadDataError             exit 3   the data breaks its contract
├── UnavailableError         exit 4   an outside service or host is unreachable or refuses
├── RolloutUndoneError       exit 5   the release was not healthy; the former one serves
├── RefusedError             exit 6   signature, digest or freeze forbids the action
├── HeldError                exit 10  the gate keeps the live model
└── InconclusiveError        exit 11  the data cannot decide

A message says what happened, the value seen, and the next thing to do.
"""


class PushcartError(Exception):
    """A failure that is told to the user without a traceback."""

    exit_code = 1


class UsageError(PushcartError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class BadDataError(PushcartError):
    """The data breaks its contract."""

    exit_code = 3


class UnavailableError(PushcartError):
    """An outside service or host is unreachable or refuses."""

    exit_code = 4


class RolloutUndoneError(PushcartError):
    """A release failed its verification and was undone."""

    exit_code = 5


class RefusedError(PushcartError):
    """A signature, a digest or a freeze forbids the action."""

    exit_code = 6


class HeldError(PushcartError):
    """The gate's verdict is HOLD."""

    exit_code = 10


class InconclusiveError(PushcartError):
    """The gate's verdict is INCONCLUSIVE."""

    exit_code = 11
