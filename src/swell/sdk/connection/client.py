"""The SDK's connection to one server: a link per thread, a link per event loop, and the ids it mints.

This module must not know apps, functions or what is said over a link.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from swell.config import Settings
from swell.discovery import announced, data_dir, socket_path
from swell.errors import ConnectionError, Error, ExecutionError
from swell.ids import RANDOM_BYTES, random_id
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.link import BlockingLink, connect

if TYPE_CHECKING:
    import asyncio

    from swell.sdk.connection.loop_link import LoopLink

__all__ = [
    "PRIVATE",
    "Client",
    "client_from_settings",
    "client_or_lasting",
    "lasting_address",
    "lasting_client",
    "mint_id",
]

PRIVATE: Final = "private"  #: as the setting `server`: every run starts a server of its own
IDLE_LINKS_MAX: Final = 4  #: links a thread keeps for its next iterations and calls


_LEADING: Final = ("SWELL_SERVER", "SWELL_TOKEN", "SWELL_DATA_DIR", "XDG_DATA_HOME", "HOME")


def mint_id(prefix: str) -> str:
    """Return a new random id of an app or a call."""
    return random_id(prefix, os.urandom(RANDOM_BYTES))


class Client:
    """Reaches one server. Safe to use from any thread and any event loop, also after a fork."""

    def __init__(self, address: str, token: str = "", settings: Settings | None = None) -> None:
        """Remember the address; connections are made when they are needed.

        Args:
            address: as in `unix:/path`.
            token: what the server wants to see, if anything.
            settings: how the SDK behaves; read from environment and file if not given.
        """
        self.address = address
        self.settings = settings or Settings.load()
        self._token = token
        self._threads = threading.local()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[LoopLink]] = (
            weakref.WeakKeyDictionary()
        )

    def blocking_link(self) -> BlockingLink:
        """Return this thread's link, connecting if there is none that works.

        Raises:
            ConnectionError: nobody listens at the address.
        """
        idle = self._idle_links()
        gone: Error | None = None
        while idle:
            # Only who reads notices that the server has gone, perhaps long ago: the next one has other directories.
            with suppress(Error):
                idle[-1].poll()
            if idle[-1].broken is None:
                return idle[-1]
            gone = idle.pop().broken
        try:
            idle.append(self.new_link())
        except ConnectionError:
            if gone is not None:  # nobody came after it, so its last words are the reason
                raise gone from None
            raise
        return idle[-1]

    @contextmanager
    def lent_link(self) -> Generator[BlockingLink]:
        """Take a link away from this thread, for an iteration: that may move to other threads while this one calls.

        Raises:
            ConnectionError: nobody listens at the address.
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
        """Return this thread's links that no iteration uses. Those from before a fork are the parent's."""
        mine: dict[str, Any] = self._threads.__dict__
        if mine.get("pid") != os.getpid():
            mine.update(pid=os.getpid(), idle=[])
        return mine["idle"]

    def new_link(self) -> BlockingLink:
        """Return a new link of its own, for whoever must not share one."""
        return run_blocking(BlockingLink.connect(self.address, self._token, self.settings.frame_max))

    async def loop_link(self) -> LoopLink:
        """Return the running event loop's link, connecting if there is none that works.

        Raises:
            ConnectionError: nobody listens at the address.
        """
        import asyncio

        from swell.sdk.connection.loop_link import LoopLink

        loop = asyncio.get_running_loop()
        known = self._loops.get(loop)
        if known is None or (known.done() and (known.exception() is not None or known.result().broken is not None)):
            connecting = LoopLink.connect(self.address, self._token, self.settings.frame_max)
            known = self._loops[loop] = asyncio.ensure_future(connecting)
        return await asyncio.shield(known)

    @property
    def stays(self) -> bool:
        """True if the server is one that comes back: a call that lost its connection may be made again."""
        return self.address == f"unix:{socket_path(data_dir(self.settings))}"

    def shut(self) -> None:
        """Close this thread's links and those of event loops that still run."""
        idle = self._idle_links()
        while idle:
            idle.pop().shut()
        for loop, connecting in list(self._loops.items()):
            if not loop.is_closed() and connecting.done() and connecting.exception() is None:
                loop.call_soon_threadsafe(connecting.result().shut)


def client_from_settings() -> Client:
    """Return the client of the server that belongs to this place: inside a container, the one that started it.

    Elsewhere it is the one that the settings name, or the daemon on this machine.

    Raises:
        ExecutionError: there is none.
    """
    try:
        return lasting_client()
    except ConnectionError as error:
        raise ExecutionError(
            f"no server is known here: call this inside `with app.run():`, or set SWELL_SERVER; {error}"
        ) from None


def lasting_client() -> Client:
    """Return the client of the server that the settings name, or of the daemon: deployed Apps live there.

    Raises:
        ConnectionError: it does not run.
    """
    return _found(os.getpid(), *(os.environ.get(name) for name in _LEADING))


def client_or_lasting(client: Client | None) -> Callable[[], Client]:
    """Return a function that returns the client that a user named, or else that of the daemon."""
    return lasting_client if client is None else lambda: client


@lru_cache(maxsize=1)
def _found(_pid: int, *_leading: str | None) -> Client:
    """Look anew only when what leads to a server has changed, or this is a forked child."""
    settings = Settings.load()
    address = settings.server if settings.server not in ("", PRIVATE) else lasting_address(settings)
    if not address:
        raise ConnectionError(
            f"no server that stays runs on the data directory {data_dir(settings)}: `swell start` starts one"
        )
    return Client(address, settings.token, settings)


def lasting_address(settings: Settings) -> str:
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
