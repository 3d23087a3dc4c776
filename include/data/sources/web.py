"""Files at addresses that somebody else wrote down: fetched from the public internet, and from nowhere else.

Against server-side request forgery (OWASP A10:2021) a name is resolved once, every address it resolves to is judged,
and the connection goes to such an address and to no other, anew after each redirect. The environment's proxies are
not used: behind one, nobody knows where a request ends.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpcore

from include.errors import PermanentError, ServiceUnavailableError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS = 5
MAX_SECONDS = 120.0
CONNECTIONS = 8
TIMEOUTS = {"connect": 10.0, "read": 20.0, "write": 10.0, "pool": MAX_SECONDS}
PAUSES = (0.5, 2.0)
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_deadline: ContextVar[float] = ContextVar("deadline")


class ForbiddenTargetError(PermanentError):
    """An address that nothing may be fetched from."""


class FileTooLargeError(PermanentError):
    """A file larger than what was asked for."""


class FileGoneError(PermanentError):
    """A server that answers, but not with the file."""


class _PassingError(Exception):
    """An answer that may be another one in a moment."""


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet, not to a network, a machine or a tunnel of its own."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour or address.teredo or address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


class Web:
    """A client that follows its own rules, whatever the addresses say. Threads may share it.

    :param permit: Judge of the addresses it may connect to.
    :param resolve: Resolver of names, like `socket.getaddrinfo`.
    """

    def __init__(
        self,
        permit: Callable[[Address], bool] = is_public,
        resolve: Callable[..., Iterable[Any]] = socket.getaddrinfo,
    ) -> None:
        self._pool = httpcore.ConnectionPool(
            network_backend=_JudgedBackend(permit, resolve), max_connections=CONNECTIONS, keepalive_expiry=5.0
        )

    def fetch(self, url: str, file: BinaryIO, max_bytes: int) -> None:
        """Fetch a file over HTTP or HTTPS, with a few attempts where the failure may pass.

        :raises ForbiddenTargetError: it is no such address, or it or a redirect leads out of the public internet.
        :raises FileTooLargeError: it has more than `max_bytes`.
        :raises FileGoneError: the server does not give it.
        :raises ServiceUnavailableError: no server answered properly, or not in time.
        """
        for pause in (*PAUSES, None):
            file.seek(0)
            file.truncate()
            _deadline.set(time.monotonic() + MAX_SECONDS)
            try:
                self._fetch(url, file, max_bytes)
                return
            except (_PassingError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
                if pause is None:
                    raise ServiceUnavailableError(
                        f"{url}: {error or type(error).__name__}, {len(PAUSES) + 1} times"
                    ) from error
                time.sleep(pause)

    def _fetch(self, url: str, file: BinaryIO, max_bytes: int) -> None:
        for _ in range(MAX_REDIRECTS + 1):
            _check_url(url)
            with self._answer(url) as answer:
                headers = {name.lower(): value for name, value in answer.headers}
                if answer.status not in _REDIRECTS:
                    return _receive(url, answer, int(headers.get(b"content-length", b"0")), file, max_bytes)
                url = urljoin(url, headers.get(b"location", b"").decode("latin-1"))
        raise FileGoneError(f"{url}: redirected more than {MAX_REDIRECTS} times")

    @contextmanager
    def _answer(self, url: str) -> Iterator[httpcore.Response]:
        headers = [("Accept-Encoding", "identity"), ("User-Agent", "windhover")]
        with self._pool.stream("GET", url, headers=headers, extensions={"timeout": TIMEOUTS}) as answer:
            yield answer


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ForbiddenTargetError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ForbiddenTargetError(f"{url}: only http:// and https:// addresses are fetched")
    if parts.username is not None or not url.isascii() or not url.isprintable() or " " in url:
        raise ForbiddenTargetError(f"{url!r}: an address with a password, a space or letters that need encoding")


def _receive(url: str, answer: httpcore.Response, announced: int, file: BinaryIO, max_bytes: int) -> None:
    if answer.status in _PASSING:
        raise _PassingError(f"answers {answer.status}")
    if answer.status != 200:
        raise FileGoneError(f"{url}: answers {answer.status}")
    received = 0
    for chunk in answer.iter_stream():
        received += len(chunk)
        if max(received, announced) > max_bytes:
            raise FileTooLargeError(f"{max(received, announced)} bytes or more, at most {max_bytes} are allowed")
        file.write(chunk)


class _JudgedBackend(httpcore.NetworkBackend):
    """Connections to permitted addresses only."""

    def __init__(self, permit: Callable[[Address], bool], resolve: Callable[..., Iterable[Any]]) -> None:
        self._permit = permit
        self._resolve = resolve
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to one of the addresses of a name, if all of them are permitted."""
        try:
            found = {str(entry[4][0]) for entry in self._resolve(host, port, type=socket.SOCK_STREAM)}
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        for address in sorted(found):
            self._judge(host, address)
        for address in sorted(found):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                stream = self._backend.connect_tcp(address, port, _cut(timeout), local_address, socket_options)
                self._judge(host, stream.get_extra_info("server_addr")[0])
                return _TimedStream(stream)
        raise httpcore.ConnectError(f"{host} does not accept a connection at {', '.join(sorted(found))}, port {port}")

    def _judge(self, host: str, address: str) -> None:
        if not self._permit(ipaddress.ip_address(address)):
            raise ForbiddenTargetError(f"{host} is {address}, which is no address of the public internet")


class _TimedStream(httpcore.NetworkStream):
    """A connection whose request ends in time, however slowly its bytes come."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _cut(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _cut(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _cut(timeout: float | None) -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout(f"took longer than {MAX_SECONDS:g} s")
    return min(left, timeout or left)
