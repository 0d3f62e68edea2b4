"""One package index for pip and uv: what is configured for one of them holds for the other.

pip reads `PIP_…` and pip.conf, uv reads `UV_…`; a company sets one of them. Proxies and
`SSL_CERT_FILE` are common to both. Nothing here is printed: an address may hold a password.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

# uv's variable for each setting of pip, as `pip config list` names it.
UV_OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
}
PIP_OF_UV = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_INDEX_URL": "PIP_INDEX_URL",
    "UV_INDEX": "PIP_EXTRA_INDEX_URL",
    "UV_EXTRA_INDEX_URL": "PIP_EXTRA_INDEX_URL",
    "UV_FIND_LINKS": "PIP_FIND_LINKS",
    "UV_INSECURE_HOST": "PIP_TRUSTED_HOST",
    "SSL_CERT_FILE": "PIP_CERT",
}


def pip_settings(config_list: str) -> dict[str, str]:
    """Return pip's effective settings from the output of `pip config list`.

    Lines look like `global.index-url='https://…'`. pip's precedence: variables over the section
    `install` over `global`.
    """
    ranked: dict[str, tuple[int, str]] = {}
    for line in config_list.splitlines():
        name, equals, value = line.partition("=")
        section, _, key = name.rpartition(".")
        rank = {"global": 0, "install": 1, ":env:": 2}.get(section, -1)
        if equals and rank >= ranked.get(key, (0, ""))[0]:
            ranked[key] = (rank, str(ast.literal_eval(value)))
    return {key: value for key, (_, value) in ranked.items()}


def for_uv(outer: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that uv runs with.

    Args:
        outer: The caller's variables; what they say to uv itself wins.
        pip: pip's settings, from `pip_settings`.
    """
    added = {}
    for key, variable in UV_OF_PIP.items():
        value = " ".join(pip.get(key, "").split())
        if key == "find-links":  # uv separates by commas, and refuses a folder that is not there
            places = [place for place in value.split() if "://" in place or Path(place).is_dir()]
            value = ",".join(places)
        if value and variable not in outer:
            added[variable] = value
    if "UV_INDEX_URL" in outer:  # the older name of UV_DEFAULT_INDEX
        added.pop("UV_DEFAULT_INDEX", None)
    # pip takes a package from whichever index has it; the hashes make that safe for uv too.
    added.setdefault("UV_INDEX_STRATEGY", outer.get("UV_INDEX_STRATEGY", "unsafe-best-match"))
    return {**_clean(outer), **added, "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}


def for_pip(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that pip runs with; what the caller says to pip itself wins."""
    added = {
        pip: outer[uv].replace(",", " ")
        for uv, pip in PIP_OF_UV.items()
        if outer.get(uv) and pip not in outer
    }
    return {**_clean(outer), **added, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _clean(outer: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would let the caller's modules shadow those of pip and uv."""
    return {key: outer[key] for key in outer if key not in {"PYTHONHOME", "PYTHONPATH"}}
