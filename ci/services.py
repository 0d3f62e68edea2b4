"""Command `services`: install the real servers and tools that the tests start for themselves.

Standard library only: it runs before any environment exists. It installs and never starts
anything; each test starts its own server on loopback, as an unprivileged user, in a
temporary folder.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.console import say
from ci.errors import UnavailableError

# Folders that hold servers but are not on an ordinary user's PATH.
SERVER_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/sbin", "/usr/local/sbin")

# The Groovy that Jenkins embeds is 2.4.21; Debian and Ubuntu package that very version.
GROOVY_JAR = Path("/usr/share/java/groovy-all.jar")


@dataclass(frozen=True)
class Service:
    """One outside program: how it is recognised and which packages bring it.

    Attributes:
        name: What `require_service` and the messages call it.
        purpose: What the tests do with it.
        programs: Programs, or absolute paths of files, that must all be there.
        packages: Debian and Ubuntu packages that bring them.
    """

    name: str
    purpose: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]

    def missing(self) -> list[str]:
        """Return the programs that this machine lacks."""
        return [program for program in self.programs if find_program(program) is None]


SERVICES = (
    Service("postgresql", "source and engine", ("initdb", "postgres", "psql"), ("postgresql",)),
    Service(
        "mariadb",
        "source that speaks MySQL's protocol",
        ("mariadbd", "mariadb-install-db", "mariadb"),
        ("mariadb-server-core", "mariadb-client-core"),
    ),
    Service("haproxy", "checks the rendered proxy configuration", ("haproxy",), ("haproxy",)),
    Service("docker", "builds the images", ("dockerd", "iptables"), ("docker.io", "iptables")),
    Service("openssl", "verifies release statements as a host does", ("openssl",), ("openssl",)),
    Service(
        "debian",
        "makes the base of the images that are built here",
        ("mmdebstrap",),
        ("mmdebstrap", "debian-archive-keyring"),
    ),
    Service(
        "registry",
        "takes the images, behind TLS and a password",
        ("docker-registry", "htpasswd", "openssl"),
        ("docker-registry", "apache2-utils", "openssl"),
    ),
    Service("ssh", "reaches the hosts", ("ssh", "ssh-keygen"), ("openssh-client",)),
    Service("chromium", "looks at the report as a reader does", ("chromium",), ("chromium",)),
    Service(
        "groovy",
        "parses the Jenkinsfile as Jenkins does",
        ("java", str(GROOVY_JAR)),
        ("default-jre-headless", "groovy"),
    ),
    Service("systemd", "reads the rendered unit", ("systemd-analyze",), ("systemd",)),
    Service("namespaces", "cuts a test off the network", ("unshare", "ip"), ("iproute2",)),
)


def missing_programs(name: str) -> list[str]:
    """The programs that a service lacks on this machine; none for the name ""."""
    return next((service.missing() for service in SERVICES if service.name == name), [])


def find_program(program: str) -> Path | None:
    """Return where a program (or the file at an absolute path) lies, or None.

    PostgreSQL's own folder goes before PATH's wrappers, newest version first.
    """
    if program.startswith("/"):
        return Path(program) if Path(program).is_file() else None
    found = shutil.which(program)
    if found:
        return Path(found)
    folders = [folder for pattern in SERVER_FOLDERS for folder in _newest_first(pattern)]
    places = (folder / program for folder in folders)
    return next((place for place in places if os.access(place, os.X_OK)), None)


def _newest_first(pattern: str) -> list[Path]:
    folders = Path("/").glob(pattern.lstrip("/"))
    return sorted(folders, key=lambda folder: _numbers(str(folder)), reverse=True)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split("/") if part.isdecimal()]


def packages_for(services: Iterable[Service]) -> list[str]:
    """Return the packages of the services that are not complete, each once, in table order."""
    wanted = [package for service in services if service.missing() for package in service.packages]
    return list(dict.fromkeys(wanted))


def apt_commands(packages: Sequence[str], *, root: bool, sudo: bool) -> list[list[str]]:
    """Return the commands that install the packages.

    Raises:
        UnavailableError: The user is not root and there is no sudo; the message has the command.
    """
    if not root and not sudo:
        raise UnavailableError(
            f"Installing {', '.join(packages)} needs root, you are not root and there is no sudo.\n"
            f"Ask an administrator to run: apt-get install -y {' '.join(packages)}"
        )
    front = [] if root else ["sudo"]
    apt = [*front, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    # Another apt run (an unattended upgrade) holds the lock for minutes at most: wait for it.
    install = ["install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    return [[*apt, "update"], [*apt, *install, *packages]]


def install(services: Sequence[Service]) -> None:
    """Install what the services lack.

    Raises:
        UnavailableError: There is no apt, no right to use it, or it failed.
    """
    packages = packages_for(services)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        lacking = ", ".join(name for service in services for name in service.missing())
        raise UnavailableError(
            f"There is no apt-get here, so these must be installed by hand: {lacking}"
        )
    sudo = shutil.which("sudo") is not None
    for command in apt_commands(packages, root=os.geteuid() == 0, sudo=sudo):
        say("+ " + " ".join(command))
        if subprocess.run(command, check=False).returncode != 0:
            raise UnavailableError(
                f"`{' '.join(command)}` failed; its own message stands above.\n"
                "Check the network and the package sources, then run `bin/ci services` again."
            )


def table(services: Iterable[Service]) -> str:
    """Return one line a service: name, state, purpose."""
    lines = []
    for service in services:
        lacking = service.missing()
        state = f"missing: {', '.join(lacking)}" if lacking else "installed"
        lines.append(f"{service.name:<12} {state:<12} {service.purpose}")
    return "\n".join(lines)


def run(arguments: list[str]) -> int:
    """Install the services named in `arguments` (all without names) and print their state.

    Raises:
        UnavailableError: A service is still missing afterwards.
    """
    names = [service.name for service in SERVICES]
    parser = argparse.ArgumentParser(prog="bin/ci services", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--check", action="store_true", help="only say what is there")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.names) - set(names)
    if unknown:
        parser.error(f"no service {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    services = [service for service in SERVICES if not chosen.names or service.name in chosen.names]
    if not chosen.check:
        install(services)
    say(table(services))
    lacking = [service.name for service in services if service.missing()]
    if lacking:
        raise UnavailableError(f"Not installed: {', '.join(lacking)}. Run: bin/ci services")
    return 0
