"""Who connects over TCP: a link to a peer of which the fingerprint is known.

This module must not know what a link is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from swell.link.certificate import TlsAddress, client_context, fingerprint_of
from swell.link.connection import Link, LinkOwner
from swell.link.frames import USUAL_BOUNDS, End, LinkBounds

__all__ = ["CONNECT_S", "PinnedLink", "dial"]

CONNECT_S: Final = 20.0  #: how long connecting and the handshake may take together


class PinnedLink(Link):
    """A link to the peer of which the fingerprint is known: nothing of another one is read, and nothing sent to it."""

    def __init__(
        self,
        end: End,
        owner: LinkOwner,
        timeout_s: float,
        *,
        address: TlsAddress,
        refuse: Callable[[str], None] | None = None,
        bounds: LinkBounds = USUAL_BOUNDS,
    ) -> None:
        """Prepare for `dial`.

        Args:
            end: as for any link, like the next two.
            owner: likewise.
            timeout_s: likewise.
            address: of the peer.
            refuse: called with the reason if another peer answers there, before the link ends for it.
            bounds: what both ends have agreed on.
        """
        super().__init__(end, owner, timeout_s, bounds)
        self.address = address
        self._refuse = refuse

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Compare the fingerprint before anything: a peer may send before the handshake is over at this end."""
        address = self.address
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if fingerprint_of(cast("bytes | None", certificate)) == address.fingerprint:
            super().connection_made(transport)
            return
        why = f"another server answers at {address.host} port {address.port}: its fingerprint differs"
        cast("asyncio.Transport", transport).abort()
        if self._refuse is not None:
            self._refuse(why)
        self.end(why)


async def dial(link: PinnedLink, patience_s: float = CONNECT_S) -> None:
    """Connect a link.

    Args:
        link: to be connected.
        patience_s: how long that may take.

    Raises:
        OSError: nobody answers; the text names the address.
    """
    address = link.address
    connecting = asyncio.get_running_loop().create_connection(
        lambda: link,
        address.host,
        address.port,
        ssl=client_context(),
        server_hostname="swell",
        ssl_handshake_timeout=patience_s,
    )
    try:
        await asyncio.wait_for(connecting, patience_s)
    except (OSError, TimeoutError) as error:
        why = str(error) or "it takes too long"
        raise ConnectionError(f"no server answers at {address.host} port {address.port}: {why}") from error
