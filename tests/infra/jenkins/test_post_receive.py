"""A push reaches Jenkins, and succeeds without it: real git, the real hook, HTTP on loopback."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from ci.config import PROJECT
from tests.e2e.process_list import watched_process_list
from tests.services import free_port

HOOK = PROJECT / "infra/jenkins/post-receive"
REPOSITORY = "ssh://git@git.example.com/shop.git"
TOKEN = "0123456789abcdef0123456789abcdef"  # pragma: allowlist secret


@dataclass
class Jenkins:
    """In Jenkins' place: answers notifyCommit as the git plugin does, and keeps what was asked."""

    before: Callable[[], object] = lambda: None
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def status(self, told: dict[str, str]) -> int:
        if "token" not in told:
            return 401
        return 200 if told["token"] == TOKEN else 403


@contextmanager
def running(jenkins: Jenkins) -> Iterator[Jenkins]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            told = dict(parse_qsl(asked.query, strict_parsing=True))
            jenkins.heard.append((asked.path, told))
            jenkins.before()
            self.send_response(jenkins.status(told))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    jenkins.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield jenkins
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Clone:
    """A working copy, and the bare repository with the hook that it pushes to."""

    work: Path
    bare: Path

    def git(self, *words: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
        name = {f"GIT_{who}_{what}": f"{who}@example.com".lower()
                for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(
            ["git", "-C", at or self.work, *words],
            env={"PATH": os.environ["PATH"], "HOME": str(self.work), **name, **alone},
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(self) -> str:
        self.git("commit", "--quiet", "--allow-empty", "--message=a change")
        return self.git("rev-parse", "HEAD").stdout.strip()

    def tell(self, jenkins: str) -> None:
        """Configure the hook as docs/jenkins.md says."""
        token = self.bare / "jenkins-token"
        token.write_text(f"{TOKEN}\n")
        token.chmod(0o600)
        for key, value in (("url", jenkins), ("repository", REPOSITORY), ("tokenFile", token)):
            self.git("config", f"jenkins.{key}", str(value), at=self.bare)


@pytest.fixture
def clone(tmp_path) -> Clone:
    clone = Clone(tmp_path / "work", tmp_path / "shop.git")
    clone.work.mkdir()
    clone.git("init", "--quiet", "--initial-branch=main")
    clone.git("init", "--quiet", "--bare", str(clone.bare))
    clone.git("remote", "add", "origin", str(clone.bare))
    shutil.copy(HOOK, clone.bare / "hooks/post-receive")
    return clone


def test_a_push_tells_jenkins_the_repository_the_branch_and_the_commit(clone):
    with running(Jenkins()) as jenkins:
        clone.tell(jenkins.url + "/")
        commit = clone.commit()
        pushed = clone.git("push", "origin", "main")
    told = {"url": REPOSITORY, "branches": "main", "sha1": commit, "token": TOKEN}
    assert jenkins.heard == [("/git/notifyCommit", told)]
    assert pushed.returncode == 0
    assert "remote: Jenkins was told of main." in pushed.stderr


def test_every_branch_is_told_and_neither_tags_nor_branches_that_are_gone(clone):
    with running(Jenkins()) as jenkins:
        clone.tell(jenkins.url)
        clone.commit()
        for name in ("feature/blend", "naïve&more"):
            clone.git("branch", name)
        clone.git("tag", "v1")
        assert clone.git("push", "origin", "--all").returncode == 0
        assert clone.git("push", "origin", "v1").returncode == 0
        assert clone.git("push", "origin", "--delete", "feature/blend").returncode == 0
    branches = [told["branches"] for _, told in jenkins.heard]
    assert sorted(branches) == ["feature/blend", "main", "naïve&more"]


def test_the_token_never_stands_in_the_process_list(clone):
    with watched_process_list() as seen:
        is_seen = threading.Event()

        def wait_until_seen() -> None:
            while not any("notifyCommit" in line for line in seen.copy()):
                is_seen.wait(0.01)

        with running(Jenkins(before=wait_until_seen)) as jenkins:
            clone.tell(jenkins.url)
            clone.commit()
            assert "told of main" in clone.git("push", "origin", "main").stderr
    assert jenkins.heard[0][1]["token"] == TOKEN
    assert any("curl" in line and "notifyCommit" in line for line in seen)
    assert not [line for line in seen if TOKEN in line]


def pushed_without_jenkins(clone: Clone) -> str:
    """What a person reads whose push Jenkins did not hear of; the push itself is done."""
    commit = clone.commit()
    done = clone.git("push", "origin", "main")
    assert done.returncode == 0
    assert clone.git("rev-parse", "main", at=clone.bare).stdout.strip() == commit
    assert TOKEN not in done.stderr
    return done.stderr


def test_a_push_succeeds_while_jenkins_is_down(clone):
    clone.tell(f"http://127.0.0.1:{free_port()}")
    assert "Jenkins was not told of main: curl: (7)" in pushed_without_jenkins(clone)


def test_a_jenkins_that_does_not_answer_is_given_up(clone):
    is_over = threading.Event()
    with running(Jenkins(before=is_over.wait)) as jenkins:
        clone.tell(jenkins.url)
        assert "Jenkins was not told of main: curl: (28)" in pushed_without_jenkins(clone)
        is_over.set()


def test_a_refused_token_is_told_and_nothing_more(clone):
    with running(Jenkins()) as jenkins:
        clone.tell(jenkins.url)
        (clone.bare / "jenkins-token").write_text("an-old-one\n")
        told = pushed_without_jenkins(clone)
    assert "not told of main: curl: (22) The requested URL returned error: 403" in told


def test_what_is_not_configured_is_named(clone):
    assert "set jenkins.url and jenkins.repository" in pushed_without_jenkins(clone)
    clone.tell("http://127.0.0.1:9")
    (clone.bare / "jenkins-token").unlink()
    assert "the file of jenkins.tokenFile cannot be read" in pushed_without_jenkins(clone)
