"""The web link: requests of an edge on their way to the containers of a node, on connections of their own.

    edge ══ web link, dialled by the edge ══ agent ── unix socket ── container

It is a link like that between server and agent, so that a connection costs no handshake, and each of its directions can
end by itself, which TLS alone has no way for: a handler notices by that that its client has left. Its windows are
smaller: there are as many channels as requests. In each channel, the edge first names a socket; when the container has
accepted a connection there, the agent answers ACCEPTED, and from then on bytes pass as they are. A container that
accepts none is told by a reset, so that nothing of a request is on its way to a container that is gone.

The edge shows a token before anything else, in a word; the agent's words are signs of life, and empty. Certificate and
token are the server's work: it hands them to the agent over the link, and to the edge with each lease. This module must
not know HTTP, or which sockets there are.
"""

from __future__ import annotations

import hmac
from typing import Final

from msgspec import Struct

from swell.errors import InvalidError
from swell.link.certificate import TlsAddress
from swell.link.frames import LinkBounds

__all__ = ["ACCEPTED", "ALIVE", "SOCKET_NAME_MAX", "WEB_BOUNDS", "WebAddress", "is_token"]

WEB_BOUNDS: Final = LinkBounds(window=256 << 10, word_max=4 << 10, channels_max=16_384)
SOCKET_NAME_MAX: Final = 255  #: bytes of the name of a socket, which a line end follows
ACCEPTED: Final = b"+"
ALIVE: Final = b""  #: the agent's word


class WebAddress(Struct, frozen=True):
    """Where the containers of a node are reached, and what lets in there."""

    agent: TlsAddress
    token: str

    @classmethod
    def parse(cls, text: str) -> WebAddress:
        """Return the address in a text.

        Raises:
            InvalidError: it is none.
        """
        token, _, agent = text.rpartition("@")
        if not token:
            raise InvalidError("an address of a node's containers lacks its token: expected TOKEN@tls://…")
        return cls(TlsAddress.parse(agent), token)

    def __str__(self) -> str:
        return f"{self.token}@{self.agent}"


def is_token(word: bytes, token: str) -> bool:
    """Tell whether the first word of an edge is the token; how long that takes tells nothing of it."""
    return hmac.compare_digest(word, token.encode())
