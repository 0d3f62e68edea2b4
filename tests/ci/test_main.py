"""The command line: help, mistakes, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ci.__main__ import main
from ci.commands import COMMANDS
from ci.pipeline import STAGES

ROOT = Path(__file__).resolve().parents[2]


def test_help_names_every_stage_and_command(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in [stage.name for stage in STAGES] + [command.name for command in COMMANDS]:
        assert f"  {name:<10} " in printed


def test_help_needs_nothing_but_python():
    """It answers before any environment exists: isolated, without site-packages."""
    blocked = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ci.__main__ import main; "
    blocked += "code = main(['--help']); "
    blocked += (
        "heavy = {'tensorflow', 'mlflow', 'pydantic', 'numpy', 'pandas'} & sys.modules.keys(); "
    )
    blocked += "sys.exit(code or len(heavy))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", blocked, str(ROOT)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", [stage.name for stage in STAGES])
def test_help_of_a_stage_tells_what_it_reads_and_writes(name, capsys):
    stage = next(stage for stage in STAGES if stage.name == name)
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert stage.summary in printed.replace("\n", " ")
    assert all(artifact in printed for artifact in (*stage.reads, *stage.writes))


def test_a_misspelt_command_is_answered_with_the_near_one(capsys):
    assert main(["tarin"]) == 2
    assert "Did you mean `bin/ci train`?" in capsys.readouterr().err


def test_a_set_without_equals_is_usage(capsys):
    assert main(["--set", "data.test_days", "prepare"]) == 2
    assert "--set section.key=value" in capsys.readouterr().err


def test_an_unknown_flag_is_usage(capsys):
    assert main(["rollback", "--too", "3"]) == 2
    assert "--too" in capsys.readouterr().err


def test_options_mean_the_same_before_and_after_the_command(tmp_path, capsys):
    missing = tmp_path / "none.toml"
    for line in (["--config", str(missing), "train"], ["train", "--config", str(missing)]):
        assert main(line) == 2
        assert str(missing) in capsys.readouterr().err


def test_a_stage_without_its_input_names_the_stage_to_run_first(tmp_path, capsys):
    settings = tmp_path / "pipeline.toml"
    settings.write_text(f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n')
    assert main(["--config", str(settings), "export"]) == 2
    assert "Run `bin/ci prepare` first" in capsys.readouterr().err


def test_help_of_keys_tells_how_they_are_changed(capsys):
    assert main(["keys", "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("make the next one") < printed.index("trust both")
    assert printed.index("trust both") < printed.index("remove the old .pub")


def test_an_action_has_its_own_help_and_options(capsys):
    assert main(["hosts", "--help"]) == 0
    actions = capsys.readouterr().out
    assert "prepare" in actions
    assert "--check" not in actions
    assert main(["hosts", "prepare", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "usage: bin/ci hosts prepare [--environment NAME] [--check]" in printed


@pytest.mark.parametrize("words", [["hosts"], ["hosts", "prepair"], ["hosts", "prepare", "--chek"]])
def test_a_mistaken_action_is_usage_and_says_what_there_is(words, capsys):
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert "bin/ci hosts" in printed
    assert words[-1] in printed or "ACTION" in printed


def test_an_action_is_called_with_its_own_options(tmp_path, capsys):
    settings = tmp_path / "pipeline.toml"
    settings.write_text("[environments.local]\n")
    assert main(["--config", str(settings), "hosts", "prepare", "--check"]) == 2
    assert "[environments.local] target = 'process' has no hosts" in capsys.readouterr().err
