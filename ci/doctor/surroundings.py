"""What the machine reaches, and what reaches it: Docker, SSH, ports, proxies."""

import http.client
import ipaddress
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ci.doctor.finding import FINE, NEEDED, OPTIONAL, Finding, Wants
from ci.services import missing_programs

ENGINE = "unix:///var/run/docker.sock"
PATIENCE_SECONDS = 5.0
COMPOSE_PORTS = 7  # its own, and three for each colour
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def docker(address: str, wants: Wants) -> Finding:
    """Whether a Docker engine answers; needed by what is configured, or of use alone."""
    users = sorted(wants.with_target("compose", "hosts", "kubernetes"))
    state = NEEDED if users or wants.pushes else OPTIONAL
    url = urlsplit(address)
    if url.scheme not in ("unix", "tcp", "http"):
        mend = "`docker version` must answer; or set DOCKER_HOST to a unix:// or tcp:// address"
        return Finding("docker", OPTIONAL, f"{address}: this kind is not looked at", mend)
    try:
        version = _engine_version(url)
    except PermissionError:
        mend = "sudo usermod -aG docker $USER, then log in again"
        return Finding("docker", state, f"{address}: no right to use it", mend)
    except (OSError, http.client.HTTPException) as error:
        where = f" ({', '.join(users)} need it)" if users else ""
        mend = "bin/ci services docker, then: sudo systemctl start docker"
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Finding("docker", state, f"{address}: {said}{where}", mend)
    return Finding("docker", FINE, f"{address}: {version}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _engine_version(url: SplitResult) -> str:
    """What the engine calls itself.

    Raises:
        OSError: Nobody listens there, or the user may not ask.
        HTTPException: Whoever answers is no Docker engine.
    """
    connection = (
        _UnixConnection(url.path)
        if url.scheme == "unix"
        else http.client.HTTPConnection(url.netloc, timeout=PATIENCE_SECONDS)
    )
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        version = answer.headers.get("Api-Version")
        if answer.status != http.HTTPStatus.OK or version is None:
            raise http.client.HTTPException("whoever answers is no Docker engine")
        return f"API {version}"
    finally:
        connection.close()


def ssh(wants: Wants, variables: Mapping[str, str], home: Path) -> list[Finding]:
    """Whether the hosts of each environment could be reached: client, key, known hosts."""
    environments = wants.with_target("hosts")
    if not environments:
        return [Finding("ssh", FINE, "no environment has target hosts")]
    if missing_programs("ssh"):
        return [Finding("ssh", NEEDED, "no SSH client", "bin/ci services ssh")]
    return [
        finding
        for name, one in environments.items()
        for finding in (
            _inventory(name, one, wants),
            _key(name, one, variables, home),
            _known_hosts(name, one, wants, home),
        )
    ]


def _inventory(name: str, one: Mapping[str, Any], wants: Wants) -> Finding:
    written = one.get("inventory", "")
    default = wants.root / "infra/ansible/inventories" / f"{name}.yml"
    path = wants.folder / written if written else default
    if path.is_file():
        return Finding(f"inventory of {name}", FINE, str(path))
    mend = "write it: docs/hosts.md shows one"
    return Finding(f"inventory of {name}", NEEDED, f"{path} is not there", mend)


def _key(name: str, one: Mapping[str, Any], variables: Mapping[str, str], home: Path) -> Finding:
    what, variable = f"ssh key of {name}", one.get("ssh_key_env", "DEPLOY_KEY_FILE")
    if named := variables.get(variable):
        return _key_file(what, Path(named), f"${variable}")
    keys = [path for path in sorted((home / ".ssh").glob("id_*")) if path.suffix != ".pub"]
    if keys:
        return _key_file(what, keys[0], "SSH's own way")
    if variables.get("SSH_AUTH_SOCK"):
        return Finding(what, FINE, "an agent holds the keys")
    mend = f"ssh-keygen -t ed25519, give the hosts its .pub; or export {variable}=FILE"
    return Finding(what, NEEDED, f"{variable} is not set, ~/.ssh has no key, no agent", mend)


def _key_file(what: str, path: Path, why: str) -> Finding:
    if not path.is_file():
        return Finding(what, NEEDED, f"{path} ({why}) is not there", "name the key's file")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        seen = f"{path} ({why}) can be read by others ({mode:o}); SSH refuses it"
        return Finding(what, NEEDED, seen, f"chmod 600 {path}")
    return Finding(what, FINE, f"{path} ({why})")


def _known_hosts(name: str, one: Mapping[str, Any], wants: Wants, home: Path) -> Finding:
    what, written = f"known hosts of {name}", one.get("known_hosts", "")
    path = wants.folder / written if written else home / ".ssh/known_hosts"
    if path.is_file() and path.stat().st_size:
        return Finding(what, FINE, str(path))
    mend = f"ssh-keyscan HOST >> {path}, and compare the fingerprints with the host's own"
    return Finding(what, NEEDED, f"{path} knows no host", mend)


def ports(wants: Wants) -> Iterator[Finding]:
    """Whether the ports of this machine's environments are free, or this shop's own."""
    for name, one in wants.with_target("process", "compose").items():
        first = one["port"]
        several = COMPOSE_PORTS if one.get("target") == "compose" else 1
        taken = [str(port) for port in range(first, first + several) if not is_free(port)]
        what, state = f"ports of {name}", NEEDED if several > 1 else OPTIONAL
        if not taken:
            yield Finding(what, FINE, f"{first} is free")
        elif (wants.state / "environments" / name / "record.json").exists():
            yield Finding(what, FINE, f"{', '.join(taken)} taken, by what was released here")
        else:
            mend = f"`ss -ltnp 'sport = {taken[0]}'` tells by whom; or another port in "
            mend += f"[environments.{name}]"
            yield Finding(what, state, f"{', '.join(taken)} taken by another program", mend)


def is_free(port: int) -> bool:
    """Whether a server could listen at a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:  # below 1024 without root: free, and another finding's matter
            return True
        except OSError:
            return False
    return True


def proxies(variables: Mapping[str, str]) -> list[Finding]:
    """Whether the proxies that are set answer, and leave this machine's own servers alone."""
    given = {
        name: value
        for name in PROXIES
        for spelling in (name, name.upper())
        if (value := variables.get(spelling))
    }
    if not given:
        return [Finding("proxies", FINE, "none")]
    found = [_proxy(name, value) for name, value in given.items()]
    written = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    if not _spares_loopback(written):
        mend = f"export no_proxy={','.join(filter(None, [written, '127.0.0.1,localhost']))}"
        seen = f"no_proxy is {written!r}: this machine's own servers are asked through the proxy"
        found.append(Finding("no_proxy", NEEDED, seen, mend))
    return found


def _spares_loopback(no_proxy: str) -> bool:
    words = {word.strip().lower() for word in no_proxy.split(",")}
    return "*" in words or {"127.0.0.1", "localhost"} <= words


def _proxy(name: str, value: str) -> Finding:
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        host, port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if not host:
        return Finding(name, NEEDED, "is no URL", f"export {name}=http://HOST:PORT, or unset it")
    shown = f"[{host}]:{port}" if _is_v6(host) else f"{host}:{port}"
    try:
        socket.create_connection((host, port), timeout=PATIENCE_SECONDS).close()
    except OSError as error:
        mend = f"correct {name}, or unset it; without network: --offline DIR of `bin/ci vendor`"
        return Finding(name, NEEDED, f"{shown} does not answer ({error.strerror or error})", mend)
    return Finding(name, FINE, f"{shown} answers")


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
