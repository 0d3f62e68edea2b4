"""The pipeline as a table of contents: every stage, what it reads, writes and depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline; its code is `ci/stages/<name>.py: run(config, workspace)`.

    Attributes:
        name: The command, `bin/ci <name>`.
        summary: One line for `--help`.
        reads: Artifacts that it takes from the workspace (`../x`: of the shop, not the task).
        writes: Artifacts that it leaves there.
        settings: Sections or `section.key`s of `pipeline.toml` that its result depends on.
        code: Globs of the source files that its result depends on.
        credentials: Ids of the credentials that the Jenkinsfile binds for it, and no others;
            `{environment}` stands for the environment's name.
        looks_outside: Whether its module's `outside(config, workspace)` names further facts that
            the result depends on: the state of a source, a team's own code, the live bundle.
        keeps_outside: Whether its module's `kept(config, workspace)` tells if what it left outside
            the workspace, in the registry and the artifact store, is still there.
        reusable: Whether equal inputs make an earlier result good; a stage that acts on the
            outside world looks for itself.
    """

    name: str
    summary: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    looks_outside: bool = False
    keeps_outside: bool = False
    reusable: bool = True


# All of [model] but what is asked of a model once it is trained: `top_k` and `metrics`.
TRAINING_SETTINGS = (
    "name",
    "parts",
    "history_length",
    "frequent_length",
    "linear_megabytes",
    "embedding_dim",
    "num_blocks",
    "num_heads",
    "dropout_rate",
    "batch_size",
    "learning_rate",
    "cpu_seconds",
    "seed",
)
STAGES = (
    Stage(
        name="check",
        summary="linters, types, secrets, licences, advisories and the tests",
        writes=("../check.json",),
        reusable=False,
    ),
    Stage(
        name="prepare",
        summary="events and catalogue → validated, cleaned, split dataset",
        writes=("dataset", "quarantine", "data.json"),
        settings=("shop", "data"),
        code=(
            "model/*.py",
            "model/data/*.py",
            "model/simulation/*.py",
            "ci/sources.py",
            "ci/simulating.py",
            "ci/stages/prepare.py",
        ),
        credentials=("shop-database",),
        looks_outside=True,
    ),
    Stage(
        name="train",
        summary="the challenger and the rungs below it",
        reads=("dataset",),
        writes=("model.keras", "ladder", "training.json"),
        settings=tuple(f"model.{name}" for name in TRAINING_SETTINGS),
        code=("model/*.py", "model/data/*.py", "model/rungs/*.py", "ci/stages/train.py"),
        looks_outside=True,
    ),
    Stage(
        name="export",
        summary="the immutable serving bundle, registered under its version",
        reads=("dataset", "model.keras", "training.json"),
        writes=("bundle", "bundle.json"),
        settings=("shop", "model.top_k", "registry.uri"),
        code=("model/*.py", "model/rungs/*.py", "model/bundle/*.py", "ci/stages/export.py"),
        credentials=("mlflow",),
        looks_outside=True,
        keeps_outside=True,
    ),
    Stage(
        name="evaluate",
        summary="score the bundle that will be served and the live one on the same rows",
        reads=("dataset", "ladder", "model.keras", "training.json", "bundle", "bundle.json"),
        writes=("evaluation.json", "per_user.parquet"),
        settings=(
            "model.metrics",
            "gate.metric",
            "gate.confidence",
            "gate.resamples",
            "gate.seed",
            "gate.baseline_environment",
            "serving.engine",
        ),
        code=(
            "model/**/*.py",
            "serving/embedded/*.py",
            "ci/evaluating/*.py",
            "ci/judging/*.py",
            "ci/stages/evaluate.py",
        ),
        credentials=("mlflow",),
        looks_outside=True,
    ),
    Stage(
        name="reference",
        summary="what pull requests are judged on, drawn and published by the main branch",
        writes=("../reference.json",),
        settings=("shop", "data", "reference", "gate.baseline_environment"),
        code=("model/**/*.py", "serving/embedded/*.py", "ci/*.py", "ci/evaluating/*.py"),
        credentials=("shop-database", "mlflow"),
        looks_outside=True,
        keeps_outside=True,
    ),
    Stage(
        name="gate",
        summary="PROMOTE, HOLD or INCONCLUSIVE, with the reason",
        reads=("evaluation.json", "per_user.parquet", "bundle.json"),
        writes=("gate.json", "gate.md"),
        settings=("gate",),
        code=("ci/evaluating/*.py", "ci/judging/*.py", "ci/stages/gate.py"),
        credentials=("mlflow",),
        looks_outside=True,
    ),
    Stage(
        name="render",
        summary="Jinja templates → deployment manifests of each environment",
        reads=("bundle", "bundle.json"),
        writes=("../manifests",),
        settings=(
            "shop",
            "serving",
            "environments",
            "images.registry",
            "gate.max_memory_megabytes",
            "storage.state",
        ),
        code=(
            "infra/templates/**/*",
            "ci/kubernetes/rendering.py",
            "ci/systemd.py",
            "ci/templating.py",
            "ci/stages/render.py",
        ),
    ),
    Stage(
        name="image",
        summary="the release by digests and signed, with its images where Docker answers",
        reads=("bundle", "bundle.json", "gate.json", "dataset", "../manifests"),
        # And ../statement.json where a signing key is at hand.
        writes=("../release.json", "../sbom.json"),
        settings=("shop", "serving", "environments", "images", "signing"),
        code=("serving/**/*", "ci/images.py", "ci/releasing/*.py", "ci/stages/image.py"),
        credentials=("container-registry", "signing-key"),
        reusable=False,
    ),
    Stage(
        name="deploy",
        summary="roll out to an environment, verify, undo when verification fails",
        reads=("bundle", "bundle.json", "gate.json", "dataset", "../release.json"),
        writes=("../deployment.json",),
        credentials=("deploy-key-{environment}", "container-registry", "mlflow"),
        reusable=False,
    ),
    Stage(
        name="report",
        summary="report.html and report.md, from whatever exists",
        writes=("../report.html", "../report.css", "../report.md"),
        reusable=False,
    ),
)
STAGE = {stage.name: stage for stage in STAGES}
# Not on the way from events to a release: `run` leaves them out.
BESIDE = ("check", "reference")
