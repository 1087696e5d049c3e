"""A request whose answer is bounded, in size and in time as a whole.

The time-out of a socket begins anew with every byte: a server that drips one now and then holds a request for ever, and one
that never stops fills the memory.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

__all__ = ["BoundedSession", "Reply", "TooLarge", "TooSlow"]

CHUNK_BYTES: Final = 64 * 1024


class TooSlow(Exception):
    """The answer was not complete in time."""


class TooLarge(Exception):
    """The answer has more bytes than it may have."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class _Deadline:
    """Cuts the connection that the thread waits on when its time is over; a context manager."""

    def __init__(self, seconds: float) -> None:
        self.over = threading.Event()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._socket: socket.socket | None = None

    def __enter__(self) -> "_Deadline":
        _waiting.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        _waiting.deadline = None

    def waits_on(self, connection: socket.socket | None) -> None:
        self._socket = connection
        if self.over.is_set():
            self._cut()

    def _cut(self) -> None:
        self.over.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may be closed already
                # Not the method of an SSL socket, which lets go of what another thread is reading from.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Waiting(threading.local):
    deadline: _Deadline | None = None


_waiting: Final = _Waiting()


class _Watched(HTTPConnection):
    def getresponse(self) -> Any:
        if _waiting.deadline is not None:
            _waiting.deadline.waits_on(self.sock)
        return super().getresponse()


class _WatchedTLS(HTTPSConnection):
    def getresponse(self) -> Any:
        if _waiting.deadline is not None:
            _waiting.deadline.waits_on(self.sock)
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **named)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
        return manager


class BoundedSession(requests.Session):
    """A session whose ``exchange`` ends in time, whatever the server does."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("http://", _Adapter())
        self.mount("https://", _Adapter())

    def exchange(self, url: str, *, seconds: float, most_bytes: int, **request: Any) -> Reply:
        """POST, and read the answer whole.

        Args:
            url: The address.
            seconds: For all of it, from the first connection to the last byte.
            most_bytes: Of the answer, unpacked.
            request: As ``requests`` takes it.

        Raises:
            TooSlow: If the time is over.
            TooLarge: If the answer is larger.
            requests.RequestException: If the request failed otherwise.
        """
        with _Deadline(seconds) as deadline:
            try:
                with self.post(url, stream=True, **request) as response:
                    content = bytearray()
                    for chunk in response.iter_content(CHUNK_BYTES):
                        content += chunk
                        if len(content) > most_bytes:
                            raise TooLarge
                    # An answer without a length ends where the connection does, even where that was cut.
                    if not deadline.over.is_set():
                        return Reply(response.status_code, response.headers, bytes(content))
            except requests.RequestException:
                if not deadline.over.is_set():
                    raise
        raise TooSlow
