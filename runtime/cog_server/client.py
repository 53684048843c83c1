"""Outgoing HTTP: pooled connections, and which addresses may be reached.

Addresses are checked when a name is resolved, at every hop, so that neither a redirect nor a name server can lead
past the rule. The library is imported on first use: most predictions need none of this.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import os
import socket
import ssl
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Union
from urllib.parse import urlsplit
from urllib.request import getproxies

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

__all__ = ["AddressRefused", "Client", "Reach", "reason_of", "release_frames"]

_METADATA = {
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
_METADATA_NAMES = ("metadata.google.internal", "metadata.goog")
MAX_HEAD_BYTES = 128 * 1024
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class AddressRefused(OSError):
    """The address is one that clients may not make the server connect to."""


def reason_of(error: BaseException) -> str:
    """What went wrong in a request, for people. The library hides a refused address behind its own error."""
    inner = getattr(error, "os_error", None)
    if isinstance(inner, AddressRefused):
        return str(inner)
    return str(error) or ("it took too long" if isinstance(error, asyncio.TimeoutError) else type(error).__name__)


def release_frames(error: Optional[BaseException]) -> None:
    """Let go of the frames of a failed request, which hold its body.

    The library keeps the error of each address that it tried in a list, the list is in a frame, and the error has the
    frame: all that would stay until the garbage collector comes by. The error keeps its text.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class Reach(Enum):
    """How far a request may go: `INPUT` for URLs in inputs, `CALLBACK` for those in the request's envelope
    (webhooks, upload prefixes: receivers beside the server are usual), `ANY` for the operator's own."""

    INPUT = "input"
    CALLBACK = "callback"
    ANY = "any"


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_address(text: str, reach: Reach) -> None:
    """Errors: AddressRefused."""
    if reach is Reach.ANY:
        return
    address = _inner(ipaddress.ip_address(text.split("%", 1)[0]))
    kind = None
    if address in _METADATA:
        kind = "a metadata service"
    elif address.is_link_local:
        kind = "link-local"
    elif address.is_multicast or (isinstance(address, ipaddress.IPv4Address) and address.is_reserved):
        kind = "no unicast address"
    elif reach is Reach.INPUT and (address.is_loopback or address.is_unspecified):
        kind = "loopback"
    if kind is not None:
        raise AddressRefused("the address %s is %s: refused (COGC_ALLOW_PRIVATE_URLS=1 allows it)" % (text, kind))


def check_host(host: Optional[str], reach: Reach) -> None:
    """Refuse addresses written out, and names that only metadata services have."""
    if reach is Reach.ANY or not host:
        return
    name = host.rstrip(".").lower()
    if name in _METADATA_NAMES:
        raise AddressRefused("the host %s is a metadata service: refused (COGC_ALLOW_PRIVATE_URLS=1 allows it)" % host)
    if reach is Reach.INPUT and (name == "localhost" or name.endswith(".localhost")):
        raise AddressRefused("the host %s is loopback: refused (COGC_ALLOW_PRIVATE_URLS=1 allows it)" % host)
    try:
        ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        if ":" in host or _is_numeric(name):
            raise AddressRefused("the host %s is not a canonical address: refused" % host) from None
        return
    check_address(host, reach)


def _is_numeric(host: str) -> bool:
    """Whether a host is an IPv4 address as C libraries read them: 127.1, 2130706433, 0177.0.0.1, 0x7f000001.

    Those are not resolved everywhere before somebody connects to them, and nobody writes them in earnest.
    """
    try:
        socket.inet_aton(host)
    except (OSError, ValueError):
        return not any(character.isalpha() for character in host)
    return True


def _tls_context() -> ssl.SSLContext:
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if bundle and os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle if bundle and os.path.exists(bundle) else None)


class Client:
    """One pool per reach, made when needed."""

    def __init__(self, allows_private: bool) -> None:
        self._allows_private = allows_private
        self._sessions: Dict[Reach, "aiohttp.ClientSession"] = {}
        self._loading: "Optional[asyncio.Future[Any]]" = None

    def _session(self, reach: Reach) -> "aiohttp.ClientSession":
        session = self._sessions.get(reach)
        if session is None:
            session = self._sessions[reach] = _make_session(reach)
        return session

    async def prepare(self) -> None:
        """Load the library, beside the event loop: that takes a moment. Who comes meanwhile waits for the same."""
        if self._loading is None:
            loop = asyncio.get_running_loop()
            self._loading = loop.run_in_executor(None, importlib.import_module, "aiohttp")
        if not self._loading.done():
            await asyncio.shield(self._loading)

    def request(self, reach: Reach, method: str, url: str, **options: Any) -> Any:
        """An `async with` context of one response; redirects are not followed. Errors: AddressRefused, OSError,
        aiohttp.ClientError, asyncio.TimeoutError."""
        if self._allows_private:
            reach = Reach.ANY
        target = _url(url)
        check_host(target.host, reach)
        return self._session(reach).request(method, target, allow_redirects=False, **options)

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


def _url(text: str) -> "URL":
    from yarl import URL

    is_plain = text.isascii() and not any(character in text for character in ' "<>\\^`{|}')
    return URL(text, encoded=is_plain)


def _bounded_protocol() -> Any:
    """The library's protocol of a connection, with a limit on the headers of a response: not all its versions have one."""
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

    class BoundedResponse(ResponseHandler):
        _head_bytes = 0.0

        def set_response_params(self, *args: Any, **options: Any) -> None:
            self._head_bytes = 0.0
            super().set_response_params(*args, **options)

        def feed_data(self, *args: Any, **options: Any) -> None:  # the headers are complete
            self._head_bytes = float("-inf")
            super().feed_data(*args, **options)

        def data_received(self, data: bytes) -> None:
            self._head_bytes += len(data)
            super().data_received(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.set_exception(aiohttp.ClientPayloadError("the headers of the answer are too large"))
                self.close()

    return BoundedResponse


def _make_session(reach: Reach) -> "aiohttp.ClientSession":
    import aiohttp
    from aiohttp.abc import AbstractResolver

    # The operator's proxies may be anywhere.
    proxies = {urlsplit(url).hostname for url in getproxies().values()}

    class CheckedResolver(AbstractResolver):
        def __init__(self) -> None:
            self._inner = aiohttp.ThreadedResolver()

        async def resolve(self, host: str, *args: Any, **options: Any) -> List[Any]:
            found = await self._inner.resolve(host, *args, **options)
            if host not in proxies:
                for entry in found:
                    check_address(entry["host"], reach)
            return found

        async def close(self) -> None:
            await self._inner.close()

    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(), use_dns_cache=False, limit=64, limit_per_host=16, ssl=_tls_context()
    )
    connector._factory = partial(_bounded_protocol(), loop=asyncio.get_running_loop())
    return aiohttp.ClientSession(
        connector=connector, trust_env=True, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )
