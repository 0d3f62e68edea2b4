"""Ansible on a host that is this machine: answers, refusals, and an end from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ci.config import PROJECT, Options, load_config
from ci.errors import UsageError
from ci.rollout import ansible
from ci.rollout.ansible import Play
from ci.rollout.private_folder import PREFIX
from tests.rollout_shop import eventually
from tests.shop import surroundings

HERE = """
pushcart:
  hosts:
    here:
      ansible_connection: local
      ansible_become: false
"""
SETTINGS = """
[storage]
build = "{folder}/build"
state = "{folder}/var"
[environments.local]
[environments.far]
target = "hosts"
inventory = "{folder}/inventory.yml"
[registry]
uri = "http://127.0.0.1:9"
"""
ASK = """
import json, sys
from pathlib import Path
from ci.config import Options, load_config
from ci.rollout import ansible

config = load_config(Path(sys.argv[1]), options=Options(environment="far"))
play = ansible.Play("status.yml", {"release_program": json.loads(sys.argv[2])})
ansible.run(config, play, lambda news: print(news["step"], flush=True))
"""


@pytest.fixture
def config(tmp_path):
    """A shop whose only host is this machine."""
    (tmp_path / "inventory.yml").write_text(HERE)
    path = tmp_path / "pipeline.toml"
    path.write_text(SETTINGS.format(folder=tmp_path))
    return load_config(path, options=Options(environment="far"))


def saying(words: str) -> dict:
    """What makes the role's host program a shell that says something, and hears `status`."""
    return {"release_program": ["sh", "-c", words]}


def test_the_last_line_of_the_host_program_is_the_hosts_answer(config):
    told = []
    play = Play("status.yml", saying("""echo '{"progress": {}}'; echo '{"live": 3}'"""))
    outcomes = ansible.run(config, play, told.append)
    assert outcomes["here"].answers["Ask the host program"] == {"live": 3}
    assert outcomes["here"].trouble == ""
    assert {"host": "here", "step": "Ask the host program", "what": "…"} in told


def test_a_refusal_is_told_in_the_host_programs_words(config):
    refusal = json.dumps({"refused": "owned", "message": "process 7 holds it"})
    outcomes = ansible.run(config, Play("status.yml", saying(f"echo '{refusal}'; exit 4")), None)
    assert (outcomes["here"].trouble, outcomes["here"].refusal) == ("process 7 holds it", "owned")


def test_what_ansible_printed_is_kept_and_the_folder_of_the_run_is_not(config):
    ansible.run(config, Play("status.yml", saying("echo '{}'")), None)
    (log,) = (config.environment_state() / "logs").iterdir()
    assert log.name.endswith("-status.log")
    assert "Ask the host program" in log.read_text()
    assert folders_of(os.getpid()) == []


def test_a_secret_is_a_file_of_the_run_alone_and_in_no_variable(config, tmp_path):
    seen = tmp_path / "seen"
    program = ["sh", "-c", f'stat -c %a "$0" > {seen}; cat "$0" >> {seen}', "{{ release_order }}"]
    play = Play("status.yml", {"release_program": program}, {"release_order": "hunter2"})
    ansible.run(config, play, None)
    assert seen.read_text() == "600\nhunter2"
    (log,) = (config.environment_state() / "logs").iterdir()
    assert "hunter2" not in log.read_text()


def test_an_inventory_without_hosts_is_told(config, tmp_path):
    (tmp_path / "inventory.yml").write_text("pushcart:\n  hosts: {}\n")
    with pytest.raises(UsageError, match="names no host in the group `pushcart`"):
        ansible.run(config, Play("status.yml", saying("true")), None)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_end_from_outside_ends_ansible_and_leaves_no_folder(config, tmp_path, how):
    begun = tmp_path / "begun"
    program = json.dumps(["sh", "-c", f"touch {begun}; sleep 600; : {tmp_path}"])
    command = [sys.executable, "-c", ASK, str(config.path), program]
    asking = subprocess.Popen(
        command, cwd=PROJECT, env=surroundings(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    eventually(begun.exists)
    assert folders_of(asking.pid)
    asking.send_signal(how)
    _, complaints = asking.communicate(timeout=30)
    assert complaints.decode().rstrip().endswith("KeyboardInterrupt")
    assert folders_of(asking.pid) == []
    eventually(lambda: not named(str(tmp_path)))


def named(words: str) -> list[bytes]:
    """Command lines of running processes that hold some words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(path.read_bytes())
    return [one for one in found if words.encode() in one]


def folders_of(pid: int) -> list[Path]:
    """Private folders of runs by a process."""
    return list(Path("/tmp").glob(f"{PREFIX}{pid}-*"))  # noqa: S108
