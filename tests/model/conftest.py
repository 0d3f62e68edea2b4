"""A bundle of the tiny model, exported once."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    from tests.tiny import export_tiny

    return export_tiny(tmp_path_factory.mktemp("bundles") / "1")
