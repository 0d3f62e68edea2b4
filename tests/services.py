"""What tests need from outside: skip rules, and real database servers in temporary folders."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.config import in_ci
from ci.services import SERVICES, find_program

START_SECONDS = 120.0  # a start takes 1-3 s; eight busy neighbours on two cores make it many more


def require_service(name: str) -> None:
    """Skip the test when a service of `bin/ci services` is missing; with CI=true, fail it."""
    service = next(service for service in SERVICES if service.name == name)
    lacking = service.missing()
    if not lacking:
        return
    reason = f"{name} is not installed ({', '.join(lacking)}): run `bin/ci services {name}`"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def cut_off(command: list[str]) -> list[str]:
    """A command, run where no network exists but loopback."""
    require_service("namespaces")
    maps = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *maps, "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def require_outside(variable: str, meaning: str) -> str:
    """Return an environment variable that names an outside resource, or list the test as not run.

    Args:
        variable: For example `MYSQL_URL`.
        meaning: What the resource is, for the list at the end of the run.
    """
    value = os.environ.get(variable, "")
    if not value:
        pytest.skip(f"{NOT_RUN_HERE} {variable} is not set ({meaning})")
    return value


NOT_RUN_HERE = "not run here:"  # conftest.py allows skips that begin so, even with CI=true


@dataclass(frozen=True)
class DatabaseServer:
    """A real database server that lives as long as the test session.

    Attributes:
        url: `postgresql://` or `mysql://` URL with user and database, without the password.
        password: Pass it to the code under test by an environment variable or a file.
        log: The server's log; PostgreSQL writes each statement there.
        run_sql: Runs statements through the server's own client and returns what it prints.
    """

    scheme: str
    port: int
    user: str
    password: str
    database: str
    log: Path
    run_sql: Callable[[str], str]
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """The URL as a configuration file may hold it."""
        return f"{self.scheme}://{self.user}@{self.host}:{self.port}/{self.database}"


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> dict[str, str | int]:
    """Return Popen's arguments for an ordinary user: database servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "cwd": "/"}


@contextmanager
def _server_folder() -> Iterator[Path]:
    """Yield a folder that the unprivileged user owns (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="pushcart-db-"))
    user = _unprivileged()
    if user:
        os.chown(folder, user["user"], user["group"])
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: list[str], log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Run a server until the block ends; enter the block when it answers."""
    with log.open("ab") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **_unprivileged())
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-4000:]}")
        yield
    finally:
        server.terminate()  # PostgreSQL: smart shutdown waits for clients, so ask twice
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.send_signal(2)  # SIGINT: fast shutdown, breaks clients off
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _client(command: list[str], environment: dict[str, str]) -> Callable[[str], str]:
    def run_sql(statements: str) -> str:
        done = subprocess.run(
            command,
            input=statements,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    return run_sql


def _answers(run_sql: Callable[[str], str]) -> bool:
    try:
        return run_sql("SELECT 1;").strip().endswith("1")
    except RuntimeError:
        return False


@contextmanager
def postgresql_server() -> Iterator[DatabaseServer]:
    """Start PostgreSQL with a password, every statement logged, nothing synced to disk."""
    password, port = secrets.token_urlsafe(12), free_port()
    with _server_folder() as folder:
        data, log, secret = folder / "data", folder / "server.log", folder / "password"
        secret.write_text(password)
        secret.chmod(0o644)  # its folder is closed to others
        make = [_path("initdb"), f"--pgdata={data}", "--username=pushcart", f"--pwfile={secret}"]
        make += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, **_unprivileged())
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "log_statement": "all",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        client = ["psql", "--host=127.0.0.1", f"--port={port}", "--username=pushcart"]
        client += ["--dbname=postgres", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        run_sql = _client([*client, "--set=ON_ERROR_STOP=1"], {"PGPASSWORD": password})
        command = [_path("postgres"), "-D", str(data), *options]
        with _running(command, log, lambda: _answers(run_sql)):
            yield DatabaseServer("postgresql", port, "pushcart", password, "postgres", log, run_sql)


@contextmanager
def mariadb_server() -> Iterator[DatabaseServer]:
    """Start MariaDB with a user `pushcart` who owns the database `shop` and comes over TCP."""
    password, port = secrets.token_urlsafe(12), free_port()
    with _server_folder() as folder:
        data, log, start = folder / "data", folder / "server.log", folder / "start.sql"
        start.write_text(
            "CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS 'pushcart'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            "GRANT ALL ON shop.* TO 'pushcart'@'127.0.0.1';\n"
        )
        start.chmod(0o644)  # its folder is closed to others
        make = [_path("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
        make += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(make, check=True, capture_output=True, **_unprivileged())
        command = [_path("mariadbd"), "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += ["--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--init-file={start}"]
        command += [f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0"]
        command += ["--skip-name-resolve", "--innodb-buffer-pool-size=64M"]
        client = ["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}"]
        client += ["--user=pushcart", "--default-character-set=utf8mb4"]
        client += ["--batch", "--skip-column-names", "shop"]
        run_sql = _client(client, {"MYSQL_PWD": password})
        with _running(command, log, lambda: _answers(run_sql)):
            yield DatabaseServer("mysql", port, "pushcart", password, "shop", log, run_sql)


def _path(program: str) -> str:
    found = find_program(program)
    if found is None:
        raise FileNotFoundError(program)
    return str(found)
