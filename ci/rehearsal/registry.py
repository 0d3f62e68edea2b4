"""A container registry with TLS and a password, as a company runs one, for the time of a block."""

import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ci.errors import UnavailableError
from ci.services import find_program

START_SECONDS = 60.0
# Where an engine looks for the authority of one registry; it does so at each push and pull.
ENGINE_AUTHORITIES = Path("/etc/docker/certs.d")
USER = "pushcart"
DAYS = "30"
CERTIFICATES = """\
[req]
prompt = no
distinguished_name = name
[name]
O = Pushcart rehearsal
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:{host}
"""
SETTINGS = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {folder}/storage}}
  delete: {{enabled: true}}
http:
  addr: {address}
  secret: {secret}
  tls: {{certificate: {folder}/server.crt, key: {folder}/server.key}}
auth:
  htpasswd: {{realm: pushcart, path: {folder}/users}}
"""


@dataclass(frozen=True)
class ContainerRegistry:
    """A running registry.

    Attributes:
        address: `host:port`, the front of every image's name.
        user: Who may push and pull.
        password: And by which word; pass it on by a variable or a file.
        ca_file: The authority of its certificate.
        storage: Where it keeps blobs, to see what a push brought.
        log: What it writes: one line a request, without passwords.
    """

    address: str
    user: str
    password: str
    ca_file: Path
    storage: Path
    log: Path


@contextmanager
def container_registry(host: str = "127.0.0.1", port: int = 0) -> Iterator[ContainerRegistry]:
    """Run a registry; it and all that it held are gone after the block.

    Args:
        host: Address of this machine to listen on: loopback, or the gateway of a Docker bridge.
        port: 0 takes a free one.

    Raises:
        UnavailableError: A program is missing, or the registry does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="pushcart-registry-"))
    try:
        address = f"{host}:{port or _free_port(host)}"
        password = secrets.token_urlsafe(18)
        _write_certificates(folder, host)
        users = _run(["htpasswd", "-Bin", USER], password)
        (folder / "users").write_text(users.strip() + "\n")
        secret = secrets.token_urlsafe(18)
        settings = SETTINGS.format(folder=folder, address=address, secret=secret)
        (folder / "settings.yml").write_text(settings)
        registry = ContainerRegistry(
            address, USER, password, folder / "ca.crt", folder / "storage", folder / "log"
        )
        with _running(registry, folder / "settings.yml"):
            yield registry
    finally:
        shutil.rmtree(folder)


@contextmanager
def trusted(registry: ContainerRegistry) -> Iterator[None]:
    """Let the Docker engines of this machine accept the registry's certificate; needs root.

    `hosts prepare` does the same on hosts. Engines take any certificate of a loopback address.
    """
    folder = ENGINE_AUTHORITIES / registry.address
    folder.mkdir(parents=True)
    try:
        shutil.copy(registry.ca_file, folder / "ca.crt")
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(registry: ContainerRegistry, settings: Path) -> Iterator[None]:
    with registry.log.open("wb") as log:
        command = [_program("docker-registry"), "serve", str(settings)]
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={"OTEL_TRACES_EXPORTER": "none"},
            start_new_session=True,  # a Ctrl-C is not for it
        )
    try:
        _wait(process, registry)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], registry: ContainerRegistry) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _asks_for_a_password(registry):
            return
        time.sleep(0.05)
    said = registry.log.read_text(errors="replace")[-2000:]
    raise UnavailableError(f"The registry at {registry.address} did not start:\n{said}")


def _asks_for_a_password(registry: ContainerRegistry) -> bool:
    trust = ssl.create_default_context(cafile=str(registry.ca_file))
    door = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=trust), urllib.request.ProxyHandler({})
    )
    try:
        door.open(f"https://{registry.address}/v2/", timeout=5)
    except urllib.error.HTTPError as answer:
        answer.close()
        return answer.code == 401
    except OSError:
        return False
    return False


def _write_certificates(folder: Path, host: str) -> None:
    settings = folder / "certificates.cnf"
    settings.write_text(CERTIFICATES.format(host=host))
    make = ["openssl", "req", "-x509", "-config", str(settings), "-days", DAYS, "-nodes"]
    make += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    authority = ["-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")]
    _run([*make, "-extensions", "authority", "-subj", "/CN=Pushcart rehearsal", *authority])
    server = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
    server += ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
    _run([*make, "-extensions", "server", "-subj", f"/CN={host}", *server])


def _run(command: list[str], secret: str = "") -> str:
    """Run a program; a secret goes in by its standard input, never by its command line."""
    words = [_program(command[0]), *command[1:]]
    done = subprocess.run(words, input=secret, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"{command[0]} failed (exit {done.returncode}): {done.stderr}")
    return done.stdout


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed. Run: bin/ci services registry")
    return str(found)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
