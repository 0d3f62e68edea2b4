"""Runs stages: one alone, or the whole pipeline with its reuse, its verdict and its report."""

import contextlib
import importlib
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ci import errors, handover, reference, registry, reuse
from ci.baseline import find_baseline
from ci.config import TASK, Config
from ci.console import complain, duration, native_noise_in, say
from ci.errors import BadDataError, PushcartError, UnavailableError, UsageError
from ci.notifying.telling import telling_failures
from ci.pipeline import STAGE, STAGES, Stage
from ci.summary import summarise
from ci.workspace import Workspace, write_atomically
from model.schema import DataError, SourceUnavailableError

MAKES_CHALLENGER = ("prepare", "train", "export")
JUDGES_AND_RELEASES = ("evaluate", "gate", "render", "image", "deploy")


def workspace_of(config: Config) -> Workspace:
    """The workspace of the configured shop."""
    return Workspace(config.build, config.build / TASK)


def run_stage(stage: Stage, config: Config, workspace: Workspace) -> None:
    """Run one stage, or say that its earlier result holds.

    Raises:
        PushcartError: As the stage ends; a reused verdict is raised again.
    """
    try:
        result = _result_of(stage, config, workspace)
    except Exception as error:
        reuse.remember_failure(stage, error, workspace)
        if isinstance(error, DataError):
            raise BadDataError(str(error)) from error
        if isinstance(error, SourceUnavailableError):
            raise UnavailableError(str(error)) from error
        raise
    reuse.forget_failure(stage, workspace)
    if result.error:
        raise getattr(errors, result.error)(result.message)


def _result_of(stage: Stage, config: Config, workspace: Workspace) -> reuse.Result:
    for name in stage.reads:
        handover.bring(name, config, workspace)
    if not stage.reusable:
        result = _run_and_tell(stage, config, workspace, why="")
        reuse.remember(stage, {"reads": reuse.reads_of(stage, workspace)}, workspace, result)
        return result
    _require_reads(stage, workspace)
    key = reuse.key_of(stage, config, workspace)
    earlier = None if config.options.force else reuse.find(stage, key, config, workspace)
    if earlier:
        say(f"{stage.name:<9} reused: {earlier.line}")
        handover.keep(stage, config, workspace)
        return earlier
    result = _run_and_tell(stage, config, workspace, reuse.changed(stage, key, workspace))
    reuse.remember(stage, key, workspace, result)
    handover.keep(stage, config, workspace)
    return result


def run_pipeline(config: Config) -> None:
    """Prepare … deploy for one environment; the report is written whatever happens.

    Raises:
        UsageError: The environment's hosts need a registry that others can reach.
        PushcartError: The first stage that ends otherwise than well.
    """
    registry.require_shared(config)
    workspace = workspace_of(config)
    started = time.monotonic()
    with telling_failures(config, "run"), native_noise_in(_native_log(config)):
        try:
            released = _run_all(config, workspace)
            say("\n".join(["", *summarise(workspace, released), ""]))
        finally:
            _report(config, workspace)
            say(f"pipeline  {duration(time.monotonic() - started)}")


def run_verdict(config: Config) -> None:
    """`bin/ci verdict`: prepare … gate; a pull request begins with what `main` made.

    Raises:
        PushcartError: The first stage that ends otherwise than well, or the verdict.
    """
    workspace = workspace_of(config)
    told, noise = telling_failures(config, "verdict"), native_noise_in(_native_log(config))
    with told, noise, reasoned(workspace):
        if config.options.reference:
            reference.begin(config)
        for name in (*MAKES_CHALLENGER, "evaluate", "gate"):
            run_stage(STAGE[name], config, workspace)


@contextlib.contextmanager
def reasoned(workspace: Workspace) -> Iterator[None]:
    """Leave `verdict.txt`: what was decided and why in one line, for a build's description."""
    path = workspace.path("../verdict.txt")
    path.unlink(missing_ok=True)
    try:
        yield
    except PushcartError as error:
        write_atomically(path, str(error).partition("\n")[0] + "\n")
        raise
    gate = workspace.read_json("gate.json", "gate")
    write_atomically(path, f"{gate['decision']}: {gate['reason']}\n")


def _run_all(config: Config, workspace: Workspace) -> bool:
    """Run what is not satisfied; whether the challenger was judged and released now."""
    for name in MAKES_CHALLENGER:
        run_stage(STAGE[name], config, workspace)
    if _already_live(config, workspace):
        say("evaluate, gate, render, image: satisfied, this bundle is already live")
        run_stage(STAGE["deploy"], config, workspace)
        return False
    for name in JUDGES_AND_RELEASES:
        run_stage(STAGE[name], config, workspace)
    return True


def _native_log(config: Config) -> Path:
    return config.build / "logs/native.log"


def _require_reads(stage: Stage, workspace: Workspace) -> None:
    makers = {name: maker.name for maker in STAGES for name in maker.writes}
    for name in stage.reads:
        workspace.require(name, made_by=makers[name])


def _already_live(config: Config, workspace: Workspace) -> bool:
    baseline = find_baseline(config, config.options.environment)
    bundle = workspace.read_json("bundle.json", "export")
    return baseline is not None and baseline.digest == bundle["digest"]


def _report(config: Config, workspace: Workspace) -> None:
    """Write the report without hiding the error that ended the pipeline."""
    try:
        run_stage(STAGE["report"], config, workspace)
    except PushcartError as error:
        complain(f"The report could not be written: {error}")


def _run_and_tell(stage: Stage, config: Config, workspace: Workspace, why: str) -> reuse.Result:
    say(f"{stage.name:<9} {stage.summary}{f' ({why})' if why else ''}")
    started = time.monotonic()
    run = importlib.import_module(f"ci.stages.{stage.name}").run
    result = _outcome(run, config, workspace, started)
    say(f"{'':<9} {result.line}  [{duration(result.seconds)}]")
    return result


def _outcome(
    run: Callable[[Config, Workspace], str], config: Config, workspace: Workspace, started: float
) -> reuse.Result:
    """Turn a verdict into a result that can be reused; every other error passes on."""
    try:
        line = run(config, workspace)
    except (errors.HeldError, errors.InconclusiveError) as verdict:
        seconds = time.monotonic() - started
        headline = textwrap.shorten(str(verdict).splitlines()[0], 100, placeholder=" …")
        return reuse.Result(headline, seconds, type(verdict).__name__, str(verdict))
    return reuse.Result(line, time.monotonic() - started)


def run_named_stage(config: Config, name: str) -> None:
    """`bin/ci STAGE`.

    Raises:
        UsageError: There is no such stage.
    """
    if name not in STAGE:
        raise UsageError(f"There is no stage {name!r}; the stages are {', '.join(STAGE)}.")
    workspace = workspace_of(config)
    told, noise = telling_failures(config, name), native_noise_in(_native_log(config))
    with told, noise, reasoned(workspace) if name == "gate" else contextlib.nullcontext():
        run_stage(STAGE[name], config, workspace)
