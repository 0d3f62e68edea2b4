"""The command line of an image that was written for TF Serving starts the LiteRT engine."""

import json
import re

from ci.config import PROJECT
from serving.edge_server import arguments_of
from serving.embedded.flags import parse


def test_the_dockerfiles_flags_start_the_litert_engine_on_every_address():
    text = (PROJECT / "serving" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    _, *words = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[1])
    flags = parse(arguments_of(words))
    assert (flags.engine, flags.host, flags.enable_batching) == ("litert", "0.0.0.0", False)  # noqa: S104
    assert (flags.port, flags.rest_api_port) == (8500, 8501)
    assert str(flags.model_config_file) == "/etc/tfs/models.config"


def test_a_persons_own_host_counts():
    words = ["--model_base_path=/m", "--host=127.0.0.1"]
    assert parse(arguments_of(words)).host == "127.0.0.1"
