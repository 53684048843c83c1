"""An address → a connected stream of bytes on which the daemon speaks HTTP/2.

Source: https://github.com/moby/moby (daemon/server/router/grpc, session)
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from .address import Address
from .errors import Unreachable
from .grpc import Stream

__all__ = ["OpenSession", "connect", "session_opener"]

OpenSession: TypeAlias = Callable[[Iterable[tuple[str, str]]], Stream]
"""Headers → the stream of a session. Error: Unreachable."""

_CONNECT_SECONDS = 20.0
_MOST_HEAD_BYTES = 16_384
_MOST_ANSWERED = 300  # characters of what a server says that refuses us
_UPGRADE = (("Host", "docker"), ("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Content-Length", "0"))
_READ_BYTES = 1 << 16


def connect(address: Address) -> Stream:
    """Connect, within 20 seconds. Error: Unreachable."""
    return _connect(address, "/grpc")


def session_opener(address: Address) -> OpenSession | None:
    """How a session becomes a connection of its own, which takes less than half the work of one within another.

    Docker's engine offers that. None where it is not at a socket of this machine, and a second way there may be slow.
    """
    if address.kind != "unix" or not address.upgrades:
        return None
    return lambda headers: _connect(address, "/session", headers)


def _connect(address: Address, path: str, headers: Iterable[tuple[str, str]] = ()) -> Stream:
    with contextlib.ExitStack() as undo:
        try:
            raw = _open(address, undo)
            stream: Stream = _Program(address) if raw is None else _Socket(raw)
            undo.callback(stream.close)
            if raw is not None and address.certificates is not None:
                stream = _Tls(raw, address.place[0], Path(address.certificates))
            if address.upgrades:
                _upgrade(stream, path, headers)
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"{address}: its certificate cannot be trusted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise Unreachable(f"{address}: no TLS: {error.reason or error}") from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise Unreachable(f"{address}: {(error.strerror or str(error)).lower()}{where}") from error
        except Unreachable as error:
            raise Unreachable(f"{address}: {error}") from error
        if raw is not None:
            raw.settimeout(None)
        undo.pop_all()
    return stream


def _open(address: Address, undo: contextlib.ExitStack) -> socket.socket | None:
    """The connected socket; None where the address is a program. Errors: OSError."""
    match address.kind:
        case "unix":
            raw = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            raw.settimeout(_CONNECT_SECONDS)
            raw.connect(address.place[0])
        case "tcp":
            host, port = address.place
            raw = undo.enter_context(socket.create_connection((host, int(port)), _CONNECT_SECONDS))
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        case "program":
            return None
    return raw


def _upgrade(stream: Stream, path: str, headers: Iterable[tuple[str, str]]) -> None:
    """Ask Docker's engine for its BuildKit; byte by byte, for what follows the answer is HTTP/2."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (*_UPGRADE, *headers))]
    stream.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
    head = bytearray()
    while not head.endswith(b"\r\n\r\n") and len(head) < _MOST_HEAD_BYTES:
        byte = stream.recv(1)
        if not byte:
            raise Unreachable(_said(bytes(head), stream) or "the engine closed the connection")
        head += byte
    status = head.split(b" ", 2)[1:2]
    if status != [b"101"]:
        rest = stream.recv(_READ_BYTES) if b"content-length: 0\r\n" not in bytes(head).lower() else b""
        text = (bytes(head).split(b"\r\n", 1)[0] + b" " + rest).decode("utf-8", "replace").strip()
        raise Unreachable(f"the engine has no BuildKit, or is too old: {text[:_MOST_ANSWERED]}")


def _said(head: bytes, stream: Stream) -> str:
    text = stream.last_words() if isinstance(stream, _Program) else head.decode("utf-8", "replace")
    return " ".join(text.split())[:_MOST_ANSWERED]


class _Socket:
    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    def recv(self, size: int, /) -> bytes:
        return self._raw.recv(size)

    def sendall(self, data: bytes, /) -> None:
        self._raw.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)  # which wakes a thread that reads
        self._raw.close()


class _Tls:
    """TLS on a socket. Its object must not be used by two threads at once: only bytes move outside the lock."""

    def __init__(self, raw: socket.socket, host: str, certificates: Path) -> None:
        has_own = (certificates / "cert.pem").exists()
        for name in ("ca.pem", "key.pem") if has_own else ("ca.pem",):
            if not (certificates / name).is_file():
                raise Unreachable(f"there is no {name} in BUILDKIT_TLS_DIR={certificates}")
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        if has_own:
            context.load_cert_chain(str(certificates / "cert.pem"), str(certificates / "key.pem"))
        context.set_alpn_protocols(["h2"])
        self._socket = _Socket(raw)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._shake_hands()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self._send_pending()
                return
            except ssl.SSLWantReadError:
                self._send_pending()
                self._take(self._socket.recv(_READ_BYTES))
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._send_pending()  # what is wrong, for the other side
                raise

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _send_pending(self) -> None:
        with self._sending:
            with self._lock:
                data = self._outgoing.read()
            if data:
                self._socket.sendall(data)

    def recv(self, size: int, /) -> bytes:
        while True:
            with self._lock:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    pass
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
                except ssl.SSLError as error:  # a daemon tells only after the handshake that it does not want us
                    raise Unreachable(_refused(error)) from error
            with contextlib.suppress(OSError):  # what has come in before says more
                self._send_pending()
            data = self._socket.recv(_READ_BYTES)
            with self._lock:
                self._take(data)

    def sendall(self, data: bytes, /) -> None:
        with self._lock:
            self._tls.write(data)
        self._send_pending()

    def close(self) -> None:
        self._socket.close()


def _refused(error: ssl.SSLError) -> str:
    """What an alert of the daemon's TLS means."""
    reason = error.reason or str(error)
    if "CERTIFICATE_REQUIRED" in reason:
        return "the daemon asks who we are: BUILDKIT_TLS_DIR needs cert.pem and key.pem"
    if "UNKNOWN_CA" in reason or "CERTIFICATE" in reason:
        return f"the daemon does not accept our certificate ({reason.lower().replace('_', ' ')})"
    return f"TLS has failed ({reason.lower().replace('_', ' ')})"


class _Program:
    """The standard streams of a program that leads to the daemon."""

    def __init__(self, address: Address) -> None:
        ours, its = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                address.place, stdin=its.fileno(), stdout=its.fileno(), stderr=subprocess.PIPE, process_group=0
            )
        except FileNotFoundError as error:
            ours.close()
            raise Unreachable(f"there is no program `{address.place[0]}` on the PATH") from error
        finally:
            its.close()
        self._socket = _Socket(ours)
        self._errors = bytearray()
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stderr:
                self._errors = (self._errors + line)[-4096:]

    def last_words(self) -> str:
        """What the program wrote to standard error; called when it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._reader.join(5)
        return self._errors.decode("utf-8", "replace")

    def recv(self, size: int, /) -> bytes:
        try:
            data = self._socket.recv(size)
        except ConnectionResetError:  # it ended before it had read all
            data = b""
        if not data:
            self._complain()
        return data

    def sendall(self, data: bytes, /) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._complain()
            raise

    def _complain(self) -> None:
        """Raise what the program said before it ended."""
        if text := " ".join(self.last_words().split()):
            raise Unreachable(text[-_MOST_ANSWERED:])

    def close(self) -> None:
        self._socket.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()
