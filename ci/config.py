"""Reads `pipeline.toml` and the command line once, into frozen settings."""

import difflib
import getpass
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ci.errors import UsageError
from ci.settings import (
    PROFILES,
    DataSettings,
    EnvironmentSettings,
    GateSettings,
    ImagesSettings,
    ModelSettings,
    NotifySettings,
    RegistrySettings,
    Section,
    ServingSettings,
    Settings,
    ShopSettings,
    SigningSettings,
    SimulatorSettings,
    StorageSettings,
)
from ci.values import without_passwords

PROJECT = Path(__file__).resolve().parent.parent
TASK = "next_item"


@dataclass(frozen=True)
class Options:
    """What one invocation asks for beyond the file: never part of a stage's reuse key."""

    environment: str = "local"
    first_release: bool = False
    force: bool = False
    to_release: int | None = None
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    override: str = ""
    offline: Path | None = None
    single_machine: bool = False
    override_freeze: str = ""
    reference: bool = False
    reference_home: Path | None = None


@dataclass(frozen=True)
class Config:
    """All settings of one invocation.

    Attributes:
        settings: The validated `pipeline.toml`.
        path: The file it came from.
        options: The flags of this invocation.
    """

    settings: Settings
    path: Path
    options: Options = field(default_factory=Options)

    @property
    def shop(self) -> ShopSettings:
        """Section `[shop]`."""
        return self.settings.shop

    @property
    def simulator(self) -> SimulatorSettings:
        """Section `[simulator]`."""
        return self.settings.simulator

    @property
    def data(self) -> DataSettings:
        """Section `[data]`."""
        return self.settings.data

    @property
    def model(self) -> ModelSettings:
        """Section `[model]`."""
        return self.settings.model

    @property
    def gate(self) -> GateSettings:
        """Section `[gate]`."""
        return self.settings.gate

    @property
    def serving(self) -> ServingSettings:
        """Section `[serving]`."""
        return self.settings.serving

    @property
    def storage(self) -> StorageSettings:
        """Section `[storage]`."""
        return self.settings.storage

    @property
    def registry(self) -> RegistrySettings:
        """Section `[registry]`."""
        return self.settings.registry

    @property
    def images(self) -> ImagesSettings:
        """Section `[images]`."""
        return self.settings.images

    @property
    def signing(self) -> SigningSettings:
        """Section `[signing]`."""
        return self.settings.signing

    @property
    def notify(self) -> NotifySettings:
        """Section `[notify]`."""
        return self.settings.notify

    @property
    def environment(self) -> EnvironmentSettings:
        """The environment that this invocation acts on."""
        return self.settings.environments[self.options.environment]

    @property
    def state(self) -> Path:
        """Folder of what is kept for this shop: `var/<shop>`, or where `state_env` says.

        A pull request keeps its own: it must not touch what serves.
        """
        named = None if self.options.reference else read_variable(self.storage.state_env)
        return (Path(named).absolute() if named else PROJECT / self.storage.state) / self.shop.name

    @property
    def shared_artifacts(self) -> Path | None:
        """The shop's part of the artifact store that several agents share, if there is one."""
        named = read_variable(self.storage.artifacts_env)
        return Path(named).absolute() / self.shop.name if named else None

    @property
    def artifacts(self) -> Path:
        """The artifact store to write to: the shared one, or this machine's. A PR has its own."""
        shared = None if self.options.reference else self.shared_artifacts
        return shared or self.state / "artifacts"

    @property
    def build(self) -> Path:
        """Folder of what can be made again for this shop: `build/<shop>`."""
        return PROJECT / self.storage.build / self.shop.name

    def environment_state(self, name: str | None = None) -> Path:
        """Folder of an environment's own record: `var/<shop>/environments/<name>`."""
        return self.state / "environments" / (name or self.options.environment)

    def source_path(self, value: str) -> str:
        """A file path of the settings, relative to the file that names it; URLs stay."""
        if "://" in value or value == "simulator" or Path(value).is_absolute():
            return value
        return str(self.path.parent / value)


def load_config(
    path: Path, overrides: dict[str, str] | None = None, options: Options | None = None
) -> Config:
    """Read and validate a configuration file.

    Args:
        path: The TOML file.
        overrides: `--set` values by dotted key, as typed; relative paths in them are taken from
            the caller's folder.
        options: The flags of this invocation.

    Raises:
        UsageError: The file is missing or not TOML, a key is unknown, a value has the wrong type,
            or settings contradict each other.
    """
    raw = _read_toml(path)
    for key, value in (overrides or {}).items():
        _set(raw, key, _parse(value, key))
    profile = PROFILES.get(str(raw.get("profile", "quick")), {})
    try:
        settings = Settings.model_validate(_tuples(_under(raw, profile)))
    except ValidationError as error:
        raise UsageError(_explain(error, path, overrides or {}, raw)) from None
    options = options or Options()
    if options.environment not in settings.environments:
        raise UsageError(
            f"There is no environment {options.environment!r} in {path}: it defines "
            f"{', '.join(sorted(settings.environments))}. Add [environments.{options.environment}]."
        )
    return Config(settings, path.resolve(), options)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"There is no configuration file {path}. Name one with --config FILE; "
            f"the template's own is {PROJECT / 'pipeline.toml'}."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}.") from None


def _parse(text: str, key: str) -> Any:
    """Read a `--set` value as TOML, and as plain text where it is none (`model.name=linear`)."""
    if key.rsplit(".", 1)[-1] in {"source", "catalogue"} and "://" not in text:
        return text if text in {"", "simulator", "source"} else str(Path.cwd() / text)
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(raw: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            where = without_passwords(f"--set {key}: {section!r}")
            raise UsageError(f"{where} is a value, not a section.")
    raw[name] = value


def _under(raw: dict[str, Any], profile: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Lay a profile's values under those that were written."""
    merged = dict(raw)
    for section, values in profile.items():
        merged[section] = {**values, **raw.get(section, {})}
    return merged


def _tuples(value: Any) -> Any:
    """TOML arrays as tuples: frozen settings hold no lists."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def _explain(
    error: ValidationError, path: Path, overrides: dict[str, str], raw: dict[str, Any]
) -> str:
    lines = [_line(detail, path, overrides, raw) for detail in error.errors(include_url=False)]
    return without_passwords("\n".join(["The configuration cannot be used:", *lines]))


def _line(detail: ErrorDetails, path: Path, overrides: dict[str, str], raw: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    set_here = [name for name in overrides if name == key or name.startswith(f"{key}.")]
    origin = f"--set {', '.join(set_here)}" if key and set_here else f"{path}: {key}".rstrip(": ")
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        allowed = _allowed(detail["loc"])
        near = difflib.get_close_matches(str(detail["loc"][-1]), allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"  {origin}: unknown key; allowed here: {', '.join(allowed)}.{hint}"
    seen = "" if detail["type"] == "value_error" else f", got {_value(raw, detail)!r}"
    return f"  {origin}: {message[0].lower() + message[1:]}{seen}"


def _value(raw: dict[str, Any], detail: ErrorDetails) -> Any:
    value: Any = raw
    for part in detail["loc"]:
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _allowed(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that an unknown key was written in."""
    section: type[Section] = Settings
    for part in location[:-1]:
        field_info = section.model_fields.get(str(part))
        if field_info is None:  # the free key of a table such as [environments.<name>]
            continue
        annotation = field_info.annotation
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        if isinstance(annotation, type) and issubclass(annotation, Section):
            section = annotation
    return list(section.model_fields)


def machine_cache() -> Path:
    """Folder of what this machine makes once for every shop and clone: `~/.cache/pushcart`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base).absolute() / "pushcart"


def read_secret(env: str, file: str) -> str | None:
    """The secret that a setting refers to; None where it refers to none.

    Raises:
        UsageError: The variable is not set or the file cannot be read.
    """
    if env:
        try:
            return os.environ[env]
        except KeyError:
            raise UsageError(
                f"The environment variable {env} named by `password_env` is not set: "
                f"export {env}=… and run again."
            ) from None
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise UsageError(f"`password_file` cannot be read: {error}.") from None
    return None


def read_variable(name: str) -> str | None:
    """The environment variable that a setting names; None where it is not set or empty."""
    return os.environ.get(name) or None


def user_name() -> str:
    """Who runs this; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def in_ci() -> bool:
    """Whether what is absent is a failure: `CI=true`, as build servers set it."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


__all__ = [
    "PROJECT",
    "TASK",
    "Config",
    "Options",
    "in_ci",
    "load_config",
    "machine_cache",
    "read_secret",
    "read_variable",
    "user_name",
]
