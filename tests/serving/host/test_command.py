"""`pushcart-host` as it is called: where its settings are, and what it says when they are not."""

import json
import subprocess
import sys

import pytest

from serving.host import command
from serving.host.host import SOURCES


def host(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "serving.host.command", *words]
    return subprocess.run(program, cwd=SOURCES, capture_output=True, text=True, check=False)


def test_the_settings_of_an_environment_have_one_place():
    done = host("--shop=corner", "--environment=far", "status")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert told["refused"] == "unavailable"
    assert "/etc/pushcart/corner-far/host.json cannot be read" in told["message"]
    assert "run `bin/ci hosts prepare`" in told["message"]


def test_they_may_be_named(tmp_path, capsys):
    settings = {"shop": "corner", "environment": "shop", "home": str(tmp_path), "port": 8600}
    settings |= {"keys": "keys", "proxy_socket": "none", "proxy_map": str(tmp_path / "live.map")}
    path = tmp_path / "host.json"
    path.write_text(json.dumps(settings))
    assert command.main([f"--settings={path}", "follow"]) == 0
    assert json.loads(capsys.readouterr().out) == {"live": "none"}
    assert (tmp_path / "live.map").read_text() == "live none\n"


def test_without_either_it_tells_how_it_is_called(capsys):
    with pytest.raises(SystemExit):
        command.main(["status"])
    assert "name --shop and --environment, or --settings" in capsys.readouterr().err
