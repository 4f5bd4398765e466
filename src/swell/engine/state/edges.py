"""The edges that serve HTTP, and the functions that may have a route, so that only these are looked at for routes.

This module must not know HTTP, or which route a function has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.wire.web import EdgeUp

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool

__all__ = ["Edges"]


class Edges:
    """Edges by client, and functions with routes."""

    __slots__ = ("_by_client", "routes_changed", "web_pools")

    def __init__(self) -> None:
        self._by_client: dict[int, EdgeUp] = {}  # the latest last
        self.web_pools: dict[str, Pool] = {}  #: functions with an own route, in their live version or a former one
        self.routes_changed = False  #: there may be other web functions than before, or other edges

    def __bool__(self) -> bool:
        return bool(self._by_client)

    @property
    def latest(self) -> EdgeUp:
        """What the edge that came last has said of itself; nothing, if there is none."""
        return next(reversed(self._by_client.values()), EdgeUp())

    def add(self, client: int, edge: EdgeUp) -> None:
        """Note what an edge says of itself; it is the latest."""
        self._by_client.pop(client, None)
        self._by_client[client] = edge

    def remove(self, client: int) -> None:
        """Forget a client that is gone. If it was an edge, another must be told the routes, or started."""
        if self._by_client.pop(client, None) is not None:
            self.routes_changed = True

    def note(self, pool: Pool) -> None:
        """Have the routes compared before this event is over if a pool may have one: it is new, or changes."""
        if pool.web_methods and pool.variant is None and not pool.is_pinned:
            self.web_pools[pool.id] = pool
        if pool.id in self.web_pools:
            self.routes_changed = True

    def forget(self, pool: Pool) -> None:
        """Forget a pool of which nothing is left."""
        self.web_pools.pop(pool.id, None)

    def take_routes_changed(self) -> bool:
        """Tell whether the routes are to be compared with what edges were told, and forget that they are."""
        changed, self.routes_changed = self.routes_changed, False
        return changed
