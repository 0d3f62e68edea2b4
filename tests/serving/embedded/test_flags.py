"""The command line takes the real server's flags and refuses what it does not know."""

import re
import subprocess
import sys

import pytest

from serving.embedded.flags import WITHOUT_EFFECT, parse
from tests.serving.servers import ROOT

REAL = [
    "--port=8500",
    "--rest_api_port=8501",
    "--model_config_file=/etc/tfs/models.config",
    "--model_config_file_poll_wait_seconds=30",
    "--monitoring_config_file=/etc/tfs/monitoring.config",
    "--enable_batching",
    "--batching_parameters_file=/etc/tfs/batching.txt",
    "--enable_grpc_healthcheck_service=true",
    "--enable_profiler=false",
    "--num_load_threads=2",
    "--max_num_load_retries=1",
    "--load_retry_interval_micros=1000000",
    "--file_system_poll_wait_seconds=5",
    "--rest_api_timeout_in_ms=2000",
    "--tensorflow_intra_op_parallelism=1",
    "--tensorflow_inter_op_parallelism=4",
    "--allow_version_labels_for_unavailable_models",
]


def serve_arguments(*flags):
    return [sys.executable, "-m", "serving.server", *flags]


def test_the_flags_of_production_are_taken():
    flags = parse(REAL)
    assert flags.port == 8500
    assert flags.enable_batching is True
    assert flags.allow_version_labels_for_unavailable_models is True
    assert flags.load_retry_interval_micros == 1_000_000
    assert flags.tensorflow_inter_op_parallelism == 4
    assert flags.host == "127.0.0.1"
    assert flags.engine == "savedmodel"


def test_defaults_are_the_real_servers():
    flags = parse(["--model_base_path=/models/next_item"])
    assert (flags.port, flags.rest_api_port) == (8500, 0)
    assert flags.rest_api_timeout_in_ms == 30000
    assert flags.max_num_load_retries == 5
    assert flags.load_retry_interval_micros == 60_000_000
    assert flags.file_system_poll_wait_seconds == 1
    assert flags.enable_model_warmup is True
    assert flags.enable_batching is False
    assert flags.enable_grpc_healthcheck_service is False


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model_base_path=/m", "--speed=9"], "unknown argument: --speed=9"),
        (["--model_base_path=/m", "stray"], "unknown argument: stray"),
        (["--model_base_path=/m", "--rest_api_por=1"], "unknown argument: --rest_api_por=1"),
        (["--model_base_path=/m", "--ssl_config_file=/s"], "unknown argument: --ssl_config_file"),
        ([], "--model_config_file"),
        (["--model_base_path=/m", "--port=0"], "--port is 0"),
        (["--model_base_path=/m", "--port=81", "--rest_api_port=81"], "they must differ"),
        (["--model_base_path=/m", "--port=high"], "'high' is not a whole number"),
        (["--model_base_path=/m", "--num_load_threads=-1"], "-1 is negative"),
        (["--model_base_path=/m", "--grpc_max_threads=0"], "0 is less than 1"),
        (["--model_base_path=/m", "--enable_batching=maybe"], "'maybe' is neither true nor false"),
        (["--model_base_path=/m", "--batching_parameters_file=/b"], "--enable_batching"),
        (["--model_base_path=/m", "--engine=litert", "--enable_batching"], "--engine=savedmodel"),
        (["--model_base_path=/m", "--engine=onnx"], "onnx"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(flags, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(flags)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_flags_without_effect_are_taken_with_and_without_a_value(name):
    plain = parse(["--model_base_path=/m"])
    assert parse(["--model_base_path=/m", f"--{name}"]) == plain
    assert parse(["--model_base_path=/m", f"--{name}=1"]) == plain


def test_help_tells_every_flag_without_importing_tensorflow():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "serving.server", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    named = set(re.findall(r"--([a-z_]+)", done.stdout))
    assert {flag.removeprefix("--").partition("=")[0] for flag in REAL} <= named
    assert " tensorflow" not in done.stderr
    assert "ai_edge_litert" not in done.stderr
