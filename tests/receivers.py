"""Who is told in the tests: a robot that hears HTTP and a mail server, real ones, on loopback."""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Post:
    """One message as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Robot:
    """Hears what is posted, and answers as told.

    Args:
        status: Of every answer.
        said: Body of every answer.
        trust: Speaks TLS where given.
        before: Is called before an answer; may hold it back.
        endless: Never ends an answer that it has begun.
    """

    def __init__(
        self,
        status: int = 200,
        said: str = '{"errcode": 0, "code": 0, "errmsg": "ok"}',
        *,
        trust: ssl.SSLContext | None = None,
        before: Callable[[], Any] = lambda: None,
        endless: bool = False,
    ) -> None:
        self.posts: list[Post] = []
        self.ended = threading.Event()
        robot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"]))
                robot.posts.append(Post(self.path, dict(self.headers), json.loads(text)))
                before()
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(said.encode())
                while endless and not robot.ended.wait(0.05):  # a sign of life, again and again
                    self.wfile.write(b" ")
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Whoever hangs up is not this server's fault."""

        self._server = Server((LOOPBACK, 0), Handler)
        if trust:
            self._server.socket = trust.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if trust else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """An address that nobody must read anywhere."""
        return f"{self._scheme}://{LOOPBACK}:{self._server.server_address[1]}/hook?key=s3cr3t-robot"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class MailServer:
    """Takes mail as RFC 5321 says; knows one user.

    Attributes:
        trust: Offers STARTTLS where given.
        implicit: Speaks TLS from the first byte.
        login: User and password that it asks for.
        unknown: Recipients that it refuses.
        letters: (recipients, content, whether it came over TLS).
    """

    trust: ssl.SSLContext | None = None
    implicit: bool = False
    login: tuple[str, str] | None = None
    unknown: tuple[str, ...] = ()
    letters: list[tuple[list[str], bytes, bool]] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(started,))
        self._thread.start()
        started.result(timeout=30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: "Future[None]") -> None:
        trust = self.trust if self.implicit else None
        server = self._loop.run_until_complete(
            asyncio.start_server(self._talk, LOOPBACK, 0, ssl=trust)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set_result(None)
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        is_safe, is_known = self.implicit, self.login is None
        writer.write(b"220 mail.example.com\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                offers = ["mail.example.com", "8BITMIME", "SMTPUTF8"]
                offers += ["STARTTLS"] if self.trust and not is_safe else []
                offers += ["AUTH PLAIN"] if self.login else []
                said = [f"250-{one}" for one in offers[:-1]] + [f"250 {offers[-1]}"]
            elif word == "STARTTLS":
                writer.write(b"220 go ahead\r\n")
                await writer.drain()
                await writer.start_tls(self.trust)
                is_safe = True
                continue
            elif word == "AUTH":
                told = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                is_known = tuple(told) == self.login
                said = ["235 welcome" if is_known else "535 5.7.8 who are you"]
            elif word == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                refused = not is_known or address in self.unknown
                recipients += [] if refused else [address]
                said = ["550 5.1.1 nobody of that name" if refused else "250 ok"]
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                self.letters.append((recipients, content, is_safe))
                said = ["250 taken"]
            else:
                said = ["221 bye" if word == "QUIT" else "250 ok"]
            writer.write("".join(f"{one}\r\n" for one in said).encode())
            await writer.drain()
            if word == "QUIT":
                break
        writer.close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of the loopback address, its own authority, and what a server needs of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver of the tests")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "receiver.crt", folder / "receiver.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(public, private)
    return public, trust
