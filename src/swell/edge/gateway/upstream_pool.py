"""The connections to containers: as many as there may be, and those that are kept for the next request, by site.

This module must not know requests, clients or leases.
"""

from __future__ import annotations

from typing import Final

from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.node_links import NodeLinks
from swell.edge.gateway.upstream import SiteAddress, Upstream
from swell.logs import PeerLog
from swell.wire.web_sockets import connect_site

__all__ = ["UpstreamPool"]

_IDLE_MAX: Final = 64  #: connections that are kept for one site


class UpstreamPool:
    """Connections to containers: as many as there may be; those that are kept for the next request, by site.

    Args:
        peers: Logs responses that are not valid.
        count_max: How many connections may be open at once. Where they are, one that is kept makes room for a new one.
        node_timeout_s: After how long without a sign of life the server gives up a node.
    """

    def __init__(self, peers: PeerLog, count_max: int, node_timeout_s: float) -> None:
        self.peers = peers
        self._nodes = NodeLinks(peers, node_timeout_s)
        self._count_max = count_max
        self._open: set[Upstream] = set()
        self._connecting = 0
        self._idle: dict[SiteAddress, list[Upstream]] = {}
        self._kept: dict[Upstream, None] = {}  # the same, the one that is idle longest first

    def idle(self, site: SiteAddress) -> Upstream | None:
        """Take a connection that is kept, the one used last."""
        while kept := self._idle.get(site):
            upstream = kept[-1]
            self._take(upstream)
            if upstream.is_open:
                return upstream
        return None

    async def connect(self, site: SiteAddress) -> Upstream:
        """Make a connection.

        Raises:
            OSError: nobody accepts any there.
            HTTPError: as many are in use as may be open.
        """
        self._make_room()
        self._connecting += 1
        try:
            return await self._connect(site)
        finally:
            self._connecting -= 1

    def _make_room(self) -> None:
        if len(self._open) + self._connecting < self._count_max:
            return
        longest_idle = next(iter(self._kept), None)
        if longest_idle is None:
            text = f"{self._count_max} connections to containers are in use, as many as the edge's open files allow"
            raise HTTPError(503, text, [(b"retry-after", b"1")])
        self.forget(longest_idle)
        longest_idle.abort()

    async def _connect(self, site: SiteAddress) -> Upstream:
        if site.where:
            return await self._nodes.connect(site.where, site.path, lambda: Upstream(site, self))
        return await connect_site(lambda: Upstream(site, self), site.path)

    def opened(self, upstream: Upstream) -> None:
        """Count a connection."""
        self._open.add(upstream)

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        kept = self._idle.setdefault(upstream.site, [])
        if len(kept) < _IDLE_MAX:
            kept.append(upstream)
            self._kept[upstream] = None
        else:
            upstream.abort()

    def forget(self, upstream: Upstream) -> None:
        """A connection has ended, or is about to."""
        self._open.discard(upstream)
        if upstream in self._kept:
            self._take(upstream)

    def _take(self, upstream: Upstream) -> None:
        del self._kept[upstream]
        kept = self._idle[upstream.site]
        kept.remove(upstream)
        if not kept:
            del self._idle[upstream.site]

    def close(self) -> None:
        """End what is kept."""
        for upstream in list(self._kept):
            upstream.abort()
        self._nodes.close()
