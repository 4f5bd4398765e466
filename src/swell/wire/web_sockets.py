"""How a request reaches the socket of a web function: from the edge, or from the agent of the container's node.

This module must not know what is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["connect_site"]

_BUSY_TRIES: Final = 50  #: attempts while a site has more connections to accept than fit its queue
_BUSY_PAUSE_S: Final = 0.01

P = TypeVar("P", bound=asyncio.Protocol)


async def connect_site(make: Callable[[], P], path: str) -> P:
    """Connect a protocol to a socket.

    Raises:
        OSError: nobody accepts any connections there.
    """
    loop = asyncio.get_running_loop()
    for tries_left in reversed(range(_BUSY_TRIES)):
        try:
            _, protocol = await loop.create_unix_connection(make, path)
        except BlockingIOError:  # its queue is full
            if not tries_left:
                raise
            await asyncio.sleep(_BUSY_PAUSE_S)
        else:
            return protocol
    raise AssertionError("unreachable")
