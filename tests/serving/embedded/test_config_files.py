"""The configuration files, as a person writes them, right and wrong."""

from pathlib import Path

import pytest

from serving.embedded.config_files import (
    BatchingSettings,
    VersionPolicy,
    model_settings,
    read_batching,
    read_metrics_path,
    read_model_config,
)
from serving.embedded.status import Code, ServingError
from tests.serving.servers import entry, model_config, specific


def models(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_text(text)
    return model_settings(read_model_config(path))


def test_models_config(tmp_path):
    text = model_config(
        entry("/models/a", specific(3, 7), {"stable": 3, "canary": 7}, name="a"),
        entry("/models/b", "model_version_policy { latest { num_versions: 2 } }", name="b"),
        entry("/models/c", "model_version_policy { all {} }", name="c"),
        entry("/models/d", name="d"),
    )
    read = models(tmp_path, f"# a comment\n{text}")
    assert read["a"].base_path == Path("/models/a")
    assert read["a"].policy == VersionPolicy(None, frozenset({3, 7}))
    assert read["a"].labels == {"stable": 3, "canary": 7}
    assert read["b"].policy == VersionPolicy(latest=2)
    assert read["c"].policy == VersionPolicy(latest=None)
    assert read["d"].policy == VersionPolicy(latest=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (model_config(entry("/m"), entry("/n")), "multiple times"),
        (model_config(entry("m")), "absolute path"),
        (model_config(entry("/m", platform="onnx")), "unsupported platform 'onnx'"),
        (model_config(entry("/m", name="")), "has no name"),
        ("custom_model_config {}", "custom_model_config"),
        ("model_config_list { config { nam: 1 } }", "nam"),
        ("model_config_list {", "models.config"),
    ],
)
def test_wrong_models_config(tmp_path, text, words):
    with pytest.raises(ServingError, match=words) as refused:
        models(tmp_path, text)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServingError, match="nowhere"):
        read_model_config(tmp_path / "nowhere")


def batching(tmp_path, text):
    path = tmp_path / "batching.txt"
    path.write_text(text)
    return read_batching(path)


def test_batching_parameters(tmp_path):
    read = batching(
        tmp_path,
        "max_batch_size { value: 4 } batch_timeout_micros { value: 1500 } "
        "num_batch_threads { value: 3 } max_enqueued_batches { value: 9 } "
        "allowed_batch_sizes: 1 allowed_batch_sizes: 4",
    )
    assert read == BatchingSettings(4, 0.0015, 3, 9, (1, 4))
    assert [read.padded(rows) for rows in (1, 2, 3, 4)] == [1, 4, 4, 4]
    assert batching(tmp_path, "") == BatchingSettings()
    assert BatchingSettings().padded(17) == 17


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size is 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads is -1"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "must match max_batch_size"),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 4",
            "monotonically increasing",
        ),
        ("pad_variable_length_inputs: true", "pads with the first id"),
        ("max_batch_size: 8", "batching.txt"),
        ("maximum { value: 8 }", "maximum"),
    ],
)
def test_wrong_batching_parameters(tmp_path, text, words):
    with pytest.raises(ServingError, match=words):
        batching(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
        ('prometheus_config { enable: false path: "/metrics" }', None),
        ("", None),
    ],
)
def test_monitoring_config(tmp_path, text, path):
    file = tmp_path / "monitoring.config"
    file.write_text(text)
    assert read_metrics_path(file) == path
