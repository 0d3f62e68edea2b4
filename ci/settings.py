"""The settings a person can write in `pipeline.toml`, one frozen class a section."""

import re
from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ci.values import (
    Address,
    Moment,
    Name,
    NonNegativeInt,
    Pattern,
    PositiveInt,
    SafeUrl,
    Share,
    VariableName,
    only_our_words,
)
from ci.windows import Once, Weekly, find_zone, parse_dates, parse_weekly
from model.schema import EVENT_COLUMNS, EVENT_TYPES, ITEM_COLUMNS, EventColumn

CLOSED_FORM_MODELS = ("popularity", "repeat", "covisit", "linear")
# Per-user figures that `evaluate` always measures, so that the gate may judge by them.
JUDGED_METRICS = ("ndcg_at_10", "hit_rate_at_10", "revenue_at_10", "debiased_ndcg_at_10")
NEURAL_MODELS = ("transformer", "dnn")
KNOWN_MODELS = (*CLOSED_FORM_MODELS, *NEURAL_MODELS, "blend")
# Rungs that read normalised item features; a normalised column that no model reads is an error.
FEATURE_READERS = ("transformer",)


class Section(BaseModel):
    """A frozen section that refuses unknown keys and silent type changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ShopSettings(Section):
    """Who the shop is; its name keeps two shops in one clone apart."""

    name: Name = "demo"


class SimulatorSettings(Section):
    """The simulated shop that stands in until a real event log is configured."""

    shoppers: PositiveInt = 10_000
    items: Annotated[int, Field(ge=20)] = 2_000
    events: PositiveInt = 600_000
    days: Annotated[int, Field(ge=60)] = 120
    bots: NonNegativeInt = 20
    seed: int = 7
    taste_shift_day: NonNegativeInt = 0  # 0: tastes never shift


class DataSettings(Section):
    """Where events come from and what is kept of them."""

    source: SafeUrl = "simulator"
    catalogue: SafeUrl = ""
    columns: dict[str, str] = {}
    catalogue_columns: dict[str, str] = {}
    event_types: dict[str, str | tuple[str, ...]] = {}
    event_type: Literal["", "impression", "view", "click", "cart", "purchase", "search"] = ""
    password_env: str = ""
    password_file: str = ""
    engine: Literal["duckdb", "postgresql"] = "duckdb"
    as_of: Moment = ""
    window_days: NonNegativeInt = 0
    test_days: PositiveInt = 14
    validation_days: PositiveInt = 14
    session_gap_minutes: PositiveInt = 30
    target: Literal["purchase", "session"] = "purchase"
    target_users: Literal["all", "known"] = "all"
    item_separator: str = ""
    unknown_users: tuple[str, ...] = ()
    item_pattern: Pattern = ""
    min_events: PositiveInt = 1
    max_silence_days: PositiveInt = 7
    min_user_events: PositiveInt = 1
    min_item_events: PositiveInt = 5
    max_events_per_day: PositiveInt = 500
    max_bad_share: Share = 0.05
    features: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.password_env and self.password_file:
            raise ValueError("set `password_env` or `password_file`, not both")
        return self

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        only_our_words("columns", self.columns, EVENT_COLUMNS)
        item_columns = (*ITEM_COLUMNS, EventColumn.TIMESTAMP)
        only_our_words("catalogue_columns", self.catalogue_columns, item_columns)
        only_our_words("event_types", self.event_types, EVENT_TYPES)
        given = [
            (yours,) if isinstance(yours, str) else yours for yours in self.event_types.values()
        ]
        word, times = max(
            Counter(sum(given, ())).items(), key=lambda pair: pair[1], default=("", 1)
        )
        if times > 1:
            raise ValueError(
                f"event_types gives {word!r} {times} meanings: a row is one event; leave it in one"
            )
        return self

    @model_validator(mode="after")
    def _past_to_learn_from(self) -> Self:
        judged = self.test_days + self.validation_days
        if self.window_days and self.window_days <= judged:
            raise ValueError(
                f"window_days {self.window_days} leaves nothing to learn from: validation and test "
                f"take {judged} days; set more than {judged}, or 0 for all of the past"
            )
        return self

    @model_validator(mode="after")
    def _engine_of_the_source(self) -> Self:
        if self.engine == "postgresql" and not self.source.startswith("postgresql://"):
            raise ValueError(
                f'engine "postgresql" works where the rows lie, and source {self.source!r} is no '
                'postgresql://… URL; set engine = "duckdb"'
            )
        return self


class ModelSettings(Section):
    """Which rung of the ladder is trained, and its budget."""

    name: str = "blend"
    parts: tuple[str, ...] = ("popularity", "repeat", "linear", "transformer")
    metrics: tuple[str, ...] = ()
    history_length: PositiveInt = 50
    frequent_length: PositiveInt = 50
    top_k: PositiveInt = 100
    linear_megabytes: PositiveInt = 64
    embedding_dim: PositiveInt = 64
    num_blocks: PositiveInt = 1
    num_heads: PositiveInt = 1
    dropout_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batch_size: PositiveInt = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    cpu_seconds: PositiveInt = 60
    seed: int = 7

    @model_validator(mode="after")
    def _known_model(self) -> Self:
        for name in (self.name, *self.parts):
            if name not in KNOWN_MODELS and not re.fullmatch(r"[\w.]+:\w+", name):
                raise ValueError(
                    f"unknown model {name!r}; allowed: {', '.join(KNOWN_MODELS)}, "
                    'or your own as "package.module:Class"'
                )
        if self.name == "blend" and (not self.parts or "blend" in self.parts):
            raise ValueError(
                f"a blend of {list(self.parts)} cannot be made; name in `parts` the models that it "
                f"mixes, e.g. {list(type(self).model_fields['parts'].default)}"
            )
        if len({*self.parts}) < len(self.parts):
            raise ValueError(f"parts {list(self.parts)} name a model twice; leave it in once")
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                f"embedding_dim {self.embedding_dim} must be a multiple of "
                f"num_heads {self.num_heads}"
            )
        return self

    @property
    def rungs(self) -> tuple[str, ...]:
        """Every rung that is fitted: the parts of a blend, or the one model."""
        return self.parts if self.name == "blend" else (self.name,)


class GateSettings(Section):
    """When a challenger replaces the live model."""

    metric: str = "ndcg_at_10"
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.03
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=200)] = 2_000
    seed: int = 7
    slice_margin: Annotated[float, Field(gt=0, lt=1)] = 0.10
    min_users: PositiveInt = 500
    min_slice_users: PositiveInt = 100
    must_beat: bool = True
    max_cpu_ratio: Annotated[float, Field(gt=0)] = 1.2
    min_coverage_ratio: Share = 0.5
    max_popularity_ratio: Annotated[float, Field(ge=1)] = 1.5
    max_miscalibration_ratio: Annotated[float, Field(ge=1)] = 1.5
    max_bundle_megabytes: PositiveInt = 500
    max_memory_megabytes: PositiveInt = 4_000
    max_cold_start_seconds: PositiveInt = 60
    baseline_environment: str = "local"


class ServingSettings(Section):
    """How the bundle is served."""

    engine: Literal["savedmodel", "litert"] = "savedmodel"
    start_timeout_seconds: PositiveInt = 120
    drain_seconds: PositiveInt = 30
    base_image: str = "tensorflow/serving:2.20.0"
    gateway_base_image: str = "python:3.11-slim"
    proxy_image: str = "haproxy:2.8"
    batch_timeout_micros: NonNegativeInt = 1_000
    batch_threads: PositiveInt = 2
    clock: Literal["", "now", "as_of"] = ""
    event_log: Literal["", "source"] = ""

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.base_image == "embedded" and self.engine != "litert":
            raise ValueError(
                '`base_image = "embedded"` holds the LiteRT engine alone; set `engine = "litert"`'
            )
        return self


class StorageSettings(Section):
    """Where Pushcart keeps what it makes; relative to the project."""

    build: str = "build"
    state: str = "var"
    state_env: VariableName = "PUSHCART_STATE"
    artifacts_env: VariableName = "PUSHCART_ARTIFACTS"


class ReferenceSettings(Section):
    """What pull requests are judged on."""

    shoppers: Annotated[int, Field(ge=100)] = 5_000


class ImagesSettings(Section):
    """Where container images are pushed and pulled; the login is a reference, never a value."""

    registry: Annotated[str, Field(pattern=r"^([a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*)?$")] = ""
    username_env: str = "CONTAINER_REGISTRY_USERNAME"
    password_env: str = "CONTAINER_REGISTRY_PASSWORD"  # noqa: S105  names it
    ca_file: str = ""


class SigningSettings(Section):
    """The private keys of release statements, by the variables that hold them, and the public."""

    key_env: str = "PUSHCART_SIGNING_KEY"
    override_key_env: str = "PUSHCART_OVERRIDE_KEY"
    public_keys: str = "infra/keys"


class RegistrySettings(Section):
    """MLflow: empty means the embedded SQLite store of this shop."""

    uri: SafeUrl = ""
    username_env: str = ""
    password_env: str = ""


class CheckSettings(Section):
    """What `bin/ci check` holds the repository to."""

    coverage: Share = 0.8
    advisories_dir: str = ""
    advisories: Literal["optional", "required"] = "optional"


class EnvironmentSettings(Section):
    """One place to deploy to."""

    target: Literal["process", "compose", "hosts", "kubernetes"] = "process"
    port: Annotated[int, Field(ge=1, le=65535)] = 8500
    bind: str = "127.0.0.1"
    inventory: str = ""
    known_hosts: str = ""
    ssh_key_env: str = "DEPLOY_KEY_FILE"
    replicas: Annotated[int, Field(ge=2)] = 2
    max_replicas: Annotated[int, Field(ge=2)] = 10

    @model_validator(mode="after")
    def _can_grow(self) -> Self:
        if self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas = {self.max_replicas} is less than replicas = {self.replicas}"
            )
        return self


class FreezeSettings(Section):
    """Times in which nothing is deployed to the environments that it names."""

    environments: Annotated[tuple[str, ...], Field(min_length=1)]
    weekly: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    time_zone: str = "UTC"

    @model_validator(mode="after")
    def _known_times(self) -> Self:
        if not self.windows:
            raise ValueError("a freeze without `weekly` and `dates` is never in force; add one")
        find_zone(self.time_zone)
        return self

    @property
    def windows(self) -> tuple[Weekly | Once, ...]:
        """Its windows, read."""
        return (*map(parse_weekly, self.weekly), *map(parse_dates, self.dates))


Event = Literal["verdict", "release", "failure"]
EVENTS: tuple[Event, ...] = ("verdict", "release", "failure")
SIGNING_KINDS = ("dingtalk", "feishu")  # whose robots may ask for a signature


class WebhookSettings(Section):
    """One address that is told by HTTP; the address is a secret, for who knows it may write."""

    kind: Literal["slack", "dingtalk", "wecom", "feishu", "json"]
    url_env: Annotated[VariableName, Field(min_length=1)]
    secret_env: VariableName = ""
    token_env: VariableName = ""
    events: tuple[Event, ...] = EVENTS

    @model_validator(mode="after")
    def _used_secrets(self) -> Self:
        if self.secret_env and self.kind not in SIGNING_KINDS:
            raise ValueError(
                f"kind {self.kind!r} signs nothing, so `secret_env` would not be used; only "
                f"{' and '.join(SIGNING_KINDS)} do"
            )
        if self.token_env and self.kind != "json":
            raise ValueError(
                f"kind {self.kind!r} takes no token, so `token_env` would not be used; only json "
                "does, as `Authorization: Bearer …`"
            )
        return self


class MailSettings(Section):
    """One list of people who are told by e-mail."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Address
    recipients: Annotated[tuple[Address, ...], Field(min_length=1)]
    username_env: VariableName = ""
    password_env: VariableName = ""
    events: tuple[Event, ...] = EVENTS

    @model_validator(mode="after")
    def _safe_login(self) -> Self:
        if bool(self.username_env) != bool(self.password_env):
            raise ValueError("set both `username_env` and `password_env`, or neither")
        if self.password_env and self.security == "none":
            raise ValueError(
                'security "none" would send the password in the clear; set "starttls" or "tls"'
            )
        return self


class NotifySettings(Section):
    """Who is told of verdicts, releases and failures, in which language, and for how long."""

    language: Literal["en", "zh"] = "en"
    timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    ca_file: str = ""
    webhooks: dict[Name, WebhookSettings] = {}
    mails: dict[Name, MailSettings] = {}


class Settings(Section):
    """The whole of `pipeline.toml`."""

    profile: Literal["quick", "full"] = "quick"
    shop: ShopSettings = ShopSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    gate: GateSettings = GateSettings()
    serving: ServingSettings = ServingSettings()
    storage: StorageSettings = StorageSettings()
    reference: ReferenceSettings = ReferenceSettings()
    registry: RegistrySettings = RegistrySettings()
    images: ImagesSettings = ImagesSettings()
    signing: SigningSettings = SigningSettings()
    check: CheckSettings = CheckSettings()
    environments: dict[Name, EnvironmentSettings] = {
        "local": EnvironmentSettings(),
        "staging": EnvironmentSettings(port=8510),
        "production": EnvironmentSettings(port=8520),
    }
    freeze: dict[Name, FreezeSettings] = {}
    notify: NotifySettings = NotifySettings()

    @model_validator(mode="before")
    @classmethod
    def _default_features(cls, raw: Any) -> Any:
        """Normalise the price where a chosen model reads item features and nothing is said."""
        data, model = raw.get("data", {}), raw.get("model", {})
        if not isinstance(data, dict) or not isinstance(model, dict):
            return raw  # the section itself is wrong: its own message is better
        rungs = (model.get("name", "blend"), *model.get("parts", ModelSettings().parts))
        if "features" in data or rungs[0] not in ("blend", *FEATURE_READERS):
            return raw
        reads = any(rung in FEATURE_READERS for rung in rungs)
        return {**raw, "data": {**data, "features": ("price",) if reads else ()}}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.data.features and not any(
            rung in FEATURE_READERS or ":" in rung for rung in self.model.rungs
        ):
            raise ValueError(
                f"[data] features = {list(self.data.features)} are normalised, but no model reads "
                f"them: {', '.join(self.model.rungs)} have no item features; set "
                f"`data.features = []` or add one of {', '.join(FEATURE_READERS)}"
            )
        window = self.data.test_days + self.data.validation_days
        if self.data.source == "simulator" and self.simulator.days <= window:
            raise ValueError(
                f"[simulator] days = {self.simulator.days} leave nothing to learn from: validation "
                f"and test take {window}; simulate more days, or judge fewer"
            )
        judged = (*JUDGED_METRICS, *(name.partition(":")[2] for name in self.model.metrics))
        if self.gate.metric not in judged:
            raise ValueError(
                f"[gate] metric = {self.gate.metric!r} is not measured; allowed: "
                f"{', '.join(judged)}, or the function of an entry of `model.metrics`"
            )
        if self.gate.baseline_environment not in self.environments:
            raise ValueError(
                f"[gate] baseline_environment = {self.gate.baseline_environment!r} is not one of "
                f"the environments {sorted(self.environments)}"
            )
        self._check_freezes()
        return self

    def _check_freezes(self) -> None:
        """Hold every freeze to environments that deploys of ours go to.

        Raises:
            ValueError: One is unknown, or its cluster rolls releases out by itself.
        """
        for name, freeze in self.freeze.items():
            for environment in freeze.environments:
                found = self.environments.get(environment)
                if found is None:
                    raise ValueError(
                        f"[freeze.{name}] names {environment!r}, which is not one of the "
                        f"environments {sorted(self.environments)}"
                    )
                if found.target == "kubernetes":
                    raise ValueError(
                        f"[freeze.{name}] cannot hold back {environment!r}: its cluster rolls "
                        "releases out, not `bin/ci deploy`. Freeze it there"
                    )


# A profile overrides defaults only: a value that a person wrote always wins.
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {},
    "full": {"model": {"cpu_seconds": 600}},
}
