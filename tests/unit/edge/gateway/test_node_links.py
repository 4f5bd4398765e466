"""The edge's links to nodes: what becomes of a request whose link ends at the wrong moment."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from swell.edge.gateway import node_links
from swell.edge.gateway.node_links import NodeLinks
from swell.edge.gateway.peer_connection import PeerConnection
from swell.link.certificate import TlsAddress, fingerprint_of
from swell.link.dialing import PinnedLink
from swell.link.web import WebAddress
from swell.logs import PeerLog

WHERE = str(WebAddress(TlsAddress("127.0.0.1", 1, fingerprint_of(b"an agent")), "the token"))


class Stream(asyncio.Transport):
    """A stream to the right agent, which tells of its own end later than it was ended, as streams do."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self

    def getpeercert(self, *, binary_form: bool) -> bytes:
        return b"an agent"

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def abort(self) -> None:
        pass


async def test_a_request_whose_link_ends_as_it_is_connected_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(link: PinnedLink, patience_s: float) -> None:
        link.connection_made(Stream())
        link.end("the agent is gone")

    monkeypatch.setattr(node_links, "dial", dial)
    monkeypatch.setattr(node_links, "ACCEPT_S", 0.01)
    links = NodeLinks(PeerLog(logging.getLogger("swell.edge")), 1.0)
    with pytest.raises(ConnectionRefusedError):  # no TimeoutError: it has waited for nothing
        await links.connect(WHERE, "co-1.web", PeerConnection)
