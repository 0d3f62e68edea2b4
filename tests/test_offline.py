"""The whole loop needs no network: not from data to a served answer, nor to ask and end it."""

import subprocess

from tests.services import cut_off
from tests.shop import open_shop, surroundings

# What serves is reached in its own network only: one namespace for the whole story.
STORY = '"$@" run && "$@" status; code=$?; "$@" serve --stop; exit $code'


def test_a_machine_without_network_releases_and_answers(tmp_path):
    shop = open_shop(tmp_path, "island")
    done = subprocess.run(
        cut_off(["sh", "-c", STORY, "sh", *shop.command()]),
        cwd=tmp_path,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "PROMOTE" in done.stdout
    deployment = shop.artifact("../deployment.json")
    assert len(deployment["example"]["items"]) > 0, deployment
    assert "live" in done.stdout.rpartition("pipeline ")[2]  # as `status` saw it
