"""A channel of a web link: the edge names the socket of a container, and is joined to a connection there.

Until the container has accepted that, nothing of a request is taken. This module must not know edges or tokens.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, cast

from swell.agent.relay import Relay
from swell.link.connection import Link
from swell.link.web import ACCEPTED, SOCKET_NAME_MAX
from swell.wire.web_sockets import connect_site

__all__ = ["WebRelay"]

NAME_S: Final = 10.0  #: how long a channel may be there without a name
_NAME: Final = re.compile(rb"[A-Za-z0-9_-]+(\.[0-9a-f]{8})?")  #: what `swell.wire.web_names.socket_name` returns


class WebRelay(Relay):
    """Joins a channel that the edge has opened to the socket of a container."""

    def __init__(self, link: Link, number: int, directory: str, is_over: Callable[[WebRelay], None]) -> None:
        """Begin with the channel.

        Args:
            link: of the edge.
            number: of the channel.
            directory: of the sockets.
            is_over: called when the channel is over.
        """
        super().__init__(link)
        self._number = number
        self._directory = directory
        self._tell_over = is_over
        self._name = b""
        self._loop = asyncio.get_running_loop()
        self._patience = self._loop.call_later(NAME_S, self.refuse)
        self._connecting: asyncio.Task[None] | None = None
        self._is_joined = False

    def received(self, data: bytes) -> None:
        """Take the name of the socket; after that, pass bytes on."""
        if self._is_joined:
            super().received(data)
            return
        self._link.consumed(self._number, len(data))
        name, end, rest = (self._name + data[: SOCKET_NAME_MAX + 1]).partition(b"\n")
        if self._connecting is not None or rest or len(name) > SOCKET_NAME_MAX:
            self.refuse()  # it does not wait for the answer
        elif not end:
            self._name = name
        elif _NAME.fullmatch(name):
            self._patience.cancel()
            self._connecting = self._loop.create_task(self._connect(f"{self._directory}/{name.decode()}"))
        else:
            self.refuse()

    async def _connect(self, path: str) -> None:
        try:
            await connect_site(lambda: self, path)
        except OSError:
            self._connecting = None
            self.refuse()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The container has accepted."""
        if self._is_over:
            cast("asyncio.Transport", transport).abort()
            return
        self._is_joined = True
        self._begin(self._number, transport)
        self._link.send(self._number, ACCEPTED)

    def refuse(self) -> None:
        """End the channel: there is no such container, or it accepts nothing."""
        self._link.reset(self._number)
        self.lost("refused")

    def finished(self) -> None:
        """The edge sends nothing more: the container is to notice, and may still answer."""
        if not self._is_joined:
            self.refuse()
        elif not (self._has_ended or self._transport.is_closing()):
            self._transport.write_eof()

    def lost(self, why: str) -> None:
        """The channel is over."""
        self._patience.cancel()
        if self._connecting is not None and not self._is_joined:
            self._connecting.cancel()
        super().lost(why)

    def _over(self) -> None:
        self._tell_over(self)
