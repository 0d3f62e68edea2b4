"""A small package index on loopback, with wheels made here: the doors of pip and uv, no network."""

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def build_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """Write a pure wheel; `scripts/x` in `files` becomes the program x of the environment."""
    stem = f"{name}-{version}"
    content = {
        path.replace("scripts/", f"{stem}.data/scripts/"): body for path, body in files.items()
    }
    content[f"{stem}.dist-info/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    )
    content[f"{stem}.dist-info/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={_record_hash(body)},{len(body)}" for path, body in content.items()]
    content[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, body in content.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, body)
    return wheel


def _record_hash(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def lock_line(wheel: Path) -> str:
    """Return the requirement that pins a wheel by its hash."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@dataclass
class Index:
    """A running index.

    Attributes:
        folder: The wheels that it offers.
        port: Where it listens.
        user: When set, `user:password` that every request must carry.
        gate: While cleared, a download of a wheel waits.
        reached: Set as soon as a wheel was asked for.
    """

    folder: Path
    port: int = 0
    user: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The index's address, with the password if it wants one."""
        front = f"{self.user}@" if self.user else ""
        return f"http://{front}127.0.0.1:{self.port}/simple"


class _Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(self.index.user.encode()).decode()}"
        if self.index.user and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, _, name = self.path.strip("/").partition("/")
        wheels = sorted(self.index.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        if kind == "files":
            self.index.reached.set()
            self.index.gate.wait(60)
            self._answer("application/octet-stream", (self.index.folder / name).read_bytes())
        elif wheels:
            links = [f'<a href="/files/{wheel.name}">{wheel.name}</a>' for wheel in wheels]
            self._answer("text/html", f"<html><body>{''.join(links)}</body></html>".encode())
        else:
            self.send_error(404)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output quiet."""


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """Serve a folder of wheels until the block ends."""
    index = Index(folder)
    index.gate.set()
    handler = type("Handler", (_Handler,), {"index": index})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    index.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
