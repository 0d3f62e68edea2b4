"""Fills the templates of deployment manifests; a value that a template lacks is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill(templates: Path, wanted: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """The text of every wanted file, by its path.

    Args:
        templates: Folder of the templates.
        wanted: Path of a file → name of its template, without `.j2`.
        values: What the templates may name.
    """
    jinja = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  no HTML; names are checked by the configuration
    )
    return {path: jinja.get_template(f"{name}.j2").render(values) for path, name in wanted.items()}
