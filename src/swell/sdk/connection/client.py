"""The client of one server: a link per thread, a link per event loop, and new ids.

This module must not know apps, functions or which messages a link carries.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from swell.config import Settings
from swell.discovery import announced, data_dir, socket_path
from swell.errors import ConnectionError, Error, ExecutionError
from swell.ids import CALL_RANDOM_BYTES, RANDOM_BYTES, call_id, random_id
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.lease_pool import ThreadLeases
from swell.sdk.connection.link import BlockingLink, connect, is_elsewhere
from swell.sdk.connection.shared_link import SharedLink

if TYPE_CHECKING:
    import asyncio

    from swell.sdk.connection.loop_link import LoopLink
    from swell.sdk.connection.remote_shelf import RemoteShelf

__all__ = [
    "PRIVATE",
    "Client",
    "client_from_settings",
    "client_or_daemon",
    "daemon_address",
    "daemon_client",
    "mint_call_id",
    "mint_id",
]

PRIVATE: Final = "private"  #: value of the setting `server` with which every run starts a server of its own
IDLE_LINKS_MAX: Final = 4  #: unused links that a thread keeps for its next iterations and calls


_LEADING: Final = (b"SWELL_SERVER", b"SWELL_TOKEN", b"SWELL_DATA_DIR", b"XDG_DATA_HOME", b"HOME")


def mint_id(prefix: str) -> str:
    """Return a new random id with a prefix, as apps have it."""
    return random_id(prefix, os.urandom(RANDOM_BYTES))


def mint_call_id() -> str:
    """Return a new id of a call."""
    return call_id(time.time_ns() // 1_000_000, os.urandom(CALL_RANDOM_BYTES))


class Client:
    """Reaches one server. Any thread and any event loop may use it, also after a fork."""

    def __init__(self, address: str, token: str = "", settings: Settings | None = None) -> None:
        """Store the address; connections are made when they are needed.

        Args:
            address: as in `unix:/path` or `tls://host:port#fingerprint`.
            token: the server's token, if it requires one.
            settings: settings of the SDK; default: read from the environment and the file.
        """
        self.address = address
        self.settings = settings or Settings.load()
        self._token = token
        self._threads = threading.local()
        self._shared: tuple[int, SharedLink] | None = None  # with the process that it belongs to
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[LoopLink]] = (
            weakref.WeakKeyDictionary()
        )

    def blocking_link(self) -> BlockingLink:
        """Return this thread's link; connect if it has none that works.

        Raises:
            ConnectionError: no server listens at the address.
        """
        idle = self._idle_links()
        gone: Error | None = None
        while idle:
            # Only a read shows that the server has gone, perhaps long ago; the next server has other directories.
            link = idle[-1]
            if link.broken is None and link.is_quiet():
                return link
            with suppress(Error):
                link.poll()
            if link.broken is None:
                return link
            gone = idle.pop().broken
        try:
            idle.append(self.new_link())
        except ConnectionError:
            if gone is not None:  # no other server runs: the reason why the last one closed the link says more
                raise gone from None
            raise
        return idle[-1]

    def shared_link(self) -> BlockingLink:
        """Return the link that all threads share, for requests that may be made again if it breaks; or else its own.

        Raises:
            ConnectionError: no server listens at the address.
        """
        if not self.stays:
            return self.blocking_link()
        pid, known = os.getpid(), self._shared
        if known is not None and known[0] == pid and known[1].works():
            return known[1]
        # Threads that come here at once connect each; all but the last link are closed after one request.
        link = run_blocking(SharedLink.connect(self.address, self._token, self.settings.frame_max, self._shelf))
        self._shared = (pid, link)
        return link

    @contextmanager
    def lent_link(self) -> Generator[BlockingLink]:
        """Lend a link of this thread to an iteration, which may move to other threads while this one makes calls.

        Raises:
            ConnectionError: no server listens at the address.
        """
        pid, link = os.getpid(), self.blocking_link()
        self._idle_links().remove(link)
        try:
            yield link
        finally:
            idle = self._idle_links()
            if pid == os.getpid() and link.broken is None and len(idle) < IDLE_LINKS_MAX:
                idle.append(link)
            else:
                link.shut()

    def _idle_links(self) -> list[BlockingLink]:
        """Return this thread's links that no iteration uses. Links made before a fork belong to the parent."""
        mine: dict[str, Any] = self._threads.__dict__
        if mine.get("pid") != os.getpid():
            mine.update(pid=os.getpid(), idle=[])
        return mine["idle"]

    def new_link(self) -> BlockingLink:
        """Return a new link, for a caller that must not share one."""
        link = run_blocking(BlockingLink.connect(self.address, self._token, self.settings.frame_max, self._shelf))
        if link.is_beside_containers:
            link.leases = self._leases
        return link

    async def loop_link(self) -> LoopLink:
        """Return the running event loop's link; connect if it has none that works.

        Raises:
            ConnectionError: no server listens at the address.
        """
        import asyncio

        from swell.sdk.connection.loop_link import LoopLink

        loop = asyncio.get_running_loop()
        known = self._loops.get(loop)
        if known is not None and known.done() and known.exception() is None and known.result().broken is None:
            return known.result()
        if known is None or known.done():
            connecting = LoopLink.connect(self.address, self._token, self.settings.frame_max, self._shelf)
            known = self._loops[loop] = asyncio.ensure_future(connecting)
        return await asyncio.shield(known)

    @cached_property
    def _shelf(self) -> RemoteShelf | None:
        """Where blobs are, if the server is on another machine."""
        if not is_elsewhere(self.address):
            return None
        from swell.sdk.connection.remote_shelf import RemoteShelf  # loads TLS

        return RemoteShelf(self.address, self._token)

    @cached_property
    def _leases(self) -> ThreadLeases:
        """The leases of all threads."""
        return ThreadLeases(self.settings.frame_max)

    @cached_property
    def stays(self) -> bool:
        """True if the server may restart: a request whose connection broke can then be made again."""
        return is_elsewhere(self.address) or self.address == f"unix:{socket_path(data_dir(self.settings))}"

    def shut(self) -> None:
        """Close this thread's links and those of event loops that still run; the shared one when nobody waits there."""
        self._shared = None
        self._leases.drop()
        idle = self._idle_links()
        while idle:
            idle.pop().shut()
        for loop, connecting in list(self._loops.items()):
            if not loop.is_closed() and connecting.done() and connecting.exception() is None:
                loop.call_soon_threadsafe(connecting.result().shut)
        if self._shelf is not None:
            self._shelf.close()


def client_from_settings() -> Client:
    """Return the client of this process's server: in a container, the server that started the container.

    Elsewhere it is the server that the settings name, or the daemon on this machine.

    Raises:
        ExecutionError: there is none.
    """
    try:
        return daemon_client()
    except ConnectionError as error:
        raise ExecutionError(
            f"no server is known here: call this inside `with app.run():`, or set SWELL_SERVER; {error}"
        ) from None


def daemon_client() -> Client:
    """Return the client of the server that the settings name, or of the daemon: it has the deployed Apps.

    Raises:
        ConnectionError: the server does not run.
    """
    # Every call looks here: at the bytes below os.environ, because to decode them takes longer than to send a call.
    environment = cast("Mapping[bytes, bytes]", os.environ._data)  # pyright: ignore[reportAttributeAccessIssue]
    return _found(os.getpid(), *map(environment.get, _LEADING))


def client_or_daemon(client: Client | None) -> Callable[[], Client]:
    """Return a function that returns the client that a user named, or else that of the daemon."""
    return daemon_client if client is None else lambda: client


@lru_cache(maxsize=1)
def _found(_pid: int, *_leading: bytes | None) -> Client:
    """Look again only if one of the variables that lead to a server has changed, or in a forked child."""
    settings = Settings.load()
    address = settings.server if settings.server not in ("", PRIVATE) else daemon_address(settings)
    if not address:
        raise ConnectionError(
            f"no server that stays runs on the data directory {data_dir(settings)}: `swell start` starts one"
        )
    return Client(address, settings.token, settings)


def daemon_address(settings: Settings) -> str:
    """Return the address of the daemon on this machine; "" if none answers there."""
    directory = data_dir(settings)
    if announced(directory) is None:
        return ""
    address = f"unix:{socket_path(directory)}"
    try:
        connect(address).close()
    except ConnectionError:
        return ""  # it was killed
    return address
