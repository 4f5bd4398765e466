"""What all exchanges of one gateway share. This module must not know what a request goes through."""

from __future__ import annotations

import asyncio
import logging

from swell.config import Settings
from swell.edge.gateway.leases import Leases
from swell.edge.gateway.parking import Parking
from swell.edge.gateway.proxies import Proxies
from swell.edge.gateway.routing import Router
from swell.edge.gateway.upstream_pool import UpstreamPool
from swell.logs import PeerLog

__all__ = ["ExchangeContext"]


class ExchangeContext:
    """Settings, routes, and the connections to the server and to containers.

    Args:
        settings: Limits.
        leases: The connection to the server.
        router: Knows the web functions.
        web_dir: Where containers of this machine have their sockets.
        loop: On which all of it happens.
        upstreams_max: How many connections to containers may be open at once.
    """

    def __init__(
        self,
        settings: Settings,
        leases: Leases,
        router: Router,
        web_dir: str,
        loop: asyncio.AbstractEventLoop,
        *,
        upstreams_max: int,
    ) -> None:
        self.settings = settings
        self.leases = leases
        self.router = router
        self.web_dir = web_dir
        self.loop = loop
        self.peers = PeerLog(logging.getLogger("swell.edge"))
        self.upstreams = UpstreamPool(self.peers, upstreams_max, settings.node_timeout_s)
        self.proxies = Proxies(settings.web_trusted_proxies)
        self.parking = Parking(loop, settings.web_connections_max)
