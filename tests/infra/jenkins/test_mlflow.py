"""The registry and ledger server as it is shipped: MLflow with logins, on a real PostgreSQL."""

import base64
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci import registry
from ci.config import PROJECT, load_config
from ci.errors import UnavailableError, UsageError
from ci.locks.installing import install_role
from tests.e2e.process_list import watched_process_list
from tests.services import START_SECONDS, free_port

MLFLOW = PROJECT / "infra/jenkins/mlflow.sh"
LOGINS = PROJECT / "infra/jenkins/mlflow_logins.py"
SECRETS = ("mlflow-session-key", "mlflow-admin-password", "mlflow-password")
TRAINING = {"model": "linear", "settings": {"seed": 7}, "validation": {"ndcg_at_10": 0.25}}


@dataclass(frozen=True)
class Server:
    """A running server, what it was given, and what anybody could see while it started."""

    url: str
    python: str
    environment: dict[str, str]
    secrets: Path
    files: Path
    processes: set[str]

    def read(self, name: str) -> str:
        return (self.secrets / name).read_text()

    def ask(self, path: str, body: dict[str, str] | None = None, **headers: str) -> int:
        """The status that the server answers a request with."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, content, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def server(postgresql, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlflow")
    given, files = folder / "secrets", folder / "files"
    given.mkdir()
    for name in SECRETS:
        (given / name).write_text(secrets.token_urlsafe(24))
    (given / "postgresql-password").write_text(postgresql.password)
    address = f"{postgresql.host}:{postgresql.port}"
    port, python = free_port(), install_role("mlflow")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MLFLOW_PYTHON": python,
        "MLFLOW_DATABASE": f"postgresql+psycopg://{postgresql.user}@{address}/mlflow",
        "MLFLOW_SECRETS": str(given),
        "MLFLOW_USERNAME": "pushcart",
        "MLFLOW_FILES": str(files),
        "MLFLOW_NAMES": "mlflow:5000,127.0.0.1:*",
        "MLFLOW_PORT": str(port),
    }
    postgresql.run_sql("CREATE DATABASE mlflow;")
    with watched_process_list() as processes:
        running = running_server(environment, folder / "server.log", f"http://127.0.0.1:{port}")
        with running as url:
            yield Server(url, python, environment, given, files, processes)
    postgresql.run_sql("DROP DATABASE mlflow WITH (FORCE);")


@contextmanager
def running_server(environment: dict[str, str], log: Path, url: str) -> Iterator[str]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [MLFLOW], env=environment, cwd=log.parent, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/health", timeout=10).status == 200
    except OSError:
        return False


@pytest.fixture
def config(server, tmp_path, monkeypatch):
    """A shop that registers there, with the login of the builds."""
    monkeypatch.setenv("MLFLOW_USERNAME", "pushcart")
    monkeypatch.setenv("MLFLOW_PASSWORD", server.read("mlflow-password"))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # what the registry sets is gone after the test
        monkeypatch.delenv(name)
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f'[shop]\nname = "tea"\n[registry]\nuri = "{server.url}"\n'
        'username_env = "MLFLOW_USERNAME"\npassword_env = "MLFLOW_PASSWORD"\n'
    )
    return load_config(path)


def test_without_a_login_it_says_that_it_runs_and_nothing_else(server):
    assert server.ask("/health") == 200
    assert server.ask("/") == 401
    assert server.ask("/api/2.0/mlflow/registered-models/search") == 401


def test_it_is_called_by_its_own_names_only(server):
    path = "/api/2.0/mlflow/registered-models/search"
    assert server.ask(path, Host="mlflow:5000") == 401
    assert server.ask(path, Host="rebound.example.com") == 403


def test_a_build_registers_promotes_and_writes_the_ledger(config, tmp_path, capfd):
    places = [tmp_path / "a", tmp_path / "b"]
    numbers = [
        registry.register(config, f"sha256:{place.name}", place, TRAINING)
        for place in (*places, places[0])
    ]
    assert numbers == [1, 2, 1]
    for number in (1, 2):
        registry.promote(config, "staging", number)
    assert registry.live_version(config, "staging") == registry.Version(2, "sha256:b")
    registry.ship(config, [{"id": "x1", "who": "jenkins"}, {"id": "x1", "who": "jenkins"}])
    with registry._client(config) as client:
        version = client.get_model_version("tea-next_item", "2")
        experiment = client.get_experiment_by_name("tea-next_item-ledger")
        entries = client.search_runs([experiment.experiment_id])
    assert version.source == "pushcart:///sha256:b"
    assert version.tags == {"digest": "sha256:b", "location": str(places[1])}
    assert [entry.data.tags["who"] for entry in entries] == ["jenkins"]
    assert capfd.readouterr() == ("", "")


def test_what_a_run_attaches_goes_through_the_server_into_its_folder(server, config):
    with registry._client(config) as client:
        experiment = registry._experiment(client, config, "files")
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "all is well", "note.txt")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert [path.read_text() for path in server.files.rglob("note.txt")] == ["all is well"]


def test_a_wrong_password_is_told_in_one_sentence(server, config, monkeypatch):
    monkeypatch.setenv("MLFLOW_PASSWORD", "not-the-password")
    with pytest.raises(UnavailableError) as refused:
        registry.promote(config, "staging", 1)
    assert refused.value.exit_code == 4
    assert str(refused.value) == (
        f"The model registry {server.url} refuses the login in $MLFLOW_USERNAME and "
        "$MLFLOW_PASSWORD. Check both, and that the server knows them."
    )


def test_no_login_at_all_names_the_settings(server, config, tmp_path):
    path = tmp_path / "without.toml"
    path.write_text(f'[registry]\nuri = "{server.url}"\n')
    with pytest.raises(UnavailableError, match=r"it wants one\. Set `registry\.username_env`"):
        registry.promote(load_config(path), "staging", 1)


def test_a_username_that_is_not_set_is_usage(config, monkeypatch):
    monkeypatch.delenv("MLFLOW_USERNAME")
    with pytest.raises(UsageError, match=r"MLFLOW_USERNAME named by `registry\.username_env`"):
        registry.promote(config, "staging", 1)


def as_user(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def test_only_the_administrator_gives_rights(server):
    path = "/api/2.0/mlflow/users/create"
    newcomer = {"username": "mel", "password": secrets.token_urlsafe(24)}
    build = as_user("pushcart", server.read("mlflow-password"))
    administrator = as_user("admin", server.read("mlflow-admin-password"))
    assert server.ask(path, newcomer, **build) == 403
    assert server.ask(path, newcomer, **administrator) == 200


def test_a_changed_file_is_a_changed_password(server):
    path = "/api/2.0/mlflow/registered-models/search"
    old = {name: server.read(name) for name in ("mlflow-password", "mlflow-admin-password")}
    for name in old:
        (server.secrets / name).write_text(secrets.token_urlsafe(24))
    environment = server.environment | {"PGPASSWORD": server.read("postgresql-password")}
    subprocess.run([server.python, LOGINS], env=environment, check=True, capture_output=True)
    for user, name in (("pushcart", "mlflow-password"), ("admin", "mlflow-admin-password")):
        assert server.ask(path, **as_user(user, old[name])) == 401
        assert server.ask(path, **as_user(user, server.read(name))) == 200


def test_no_secret_stands_in_the_process_list_or_the_log(server):
    log = (server.secrets.parent / "server.log").read_text()
    seen = "\n".join(server.processes)
    assert "mlflow server" in seen
    for name in (*SECRETS, "postgresql-password"):
        assert server.read(name) not in seen
        assert server.read(name) not in log
