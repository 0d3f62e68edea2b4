"""The program that hosts run, packed into one file of equal bytes for equal sources."""

import io
import zipfile
from pathlib import Path
from typing import Final

from ci.config import PROJECT

START: Final = b"import sys\nfrom serving.host.command import main\nsys.exit(main())\n"
INTERPRETER: Final = b"#!/usr/bin/env python3\n"
THE_PAST: Final = (1980, 1, 1, 0, 0, 0)


def pack() -> bytes:
    """The program as a zip file that Python runs (PEP 441)."""
    files = {"__main__.py": START, **{name: path.read_bytes() for name, path in _sources()}}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, THE_PAST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, content)
    return INTERPRETER + archive.getvalue()


def _sources() -> list[tuple[str, Path]]:
    paths = [PROJECT / "serving" / "__init__.py", *(PROJECT / "serving" / "host").glob("*.py")]
    return [(str(path.relative_to(PROJECT)), path) for path in paths]
