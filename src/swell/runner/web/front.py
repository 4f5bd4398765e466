"""The front: all sites of a container, from before it is ready until after its last request.

This module must not know the protocols of sites, or why the container shuts down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from swell.model import FunctionSpec
from swell.names import shown_name
from swell.runner.entry import EntryPoint
from swell.runner.hooks import HookCaller
from swell.runner.web.build import SiteContext, build_site
from swell.runner.web.isolation.ports import Ports
from swell.runner.web.site import Site
from swell.wire.web_names import socket_path

__all__ = ["Front"]

_SHARE: Final = (
    0.8  #: of its grace that a container gives to requests when it shuts down; the rest is for what comes after them
)
_CLEANUP_S: Final = 0.5  #: what handlers may take to clean up once their connections are broken


class Front:
    """The sites at which a container answers HTTP.

    Args:
        hooks: Owns the event loop on which everything is served.
        grace_s: Returns how long the container may take to shut down; called when it has to.

    Attributes:
        is_closed: True once no site accepts requests, and all that were accepted are done.
    """

    def __init__(self, hooks: HookCaller, grace_s: Callable[[], float]) -> None:
        self.is_closed = False
        self._hooks = hooks
        self._grace_s = grace_s
        self._interrupt: Callable[[], None] | None = None
        self._sites: list[Site] = []
        self._closing: asyncio.Task[None] | None = None

    def open(
        self, spec: FunctionSpec, entries: dict[str, EntryPoint], web_dir: str, container_id: str, ports: Ports | None
    ) -> None:
        """Build every site, wait until what answers there is ready, then accept connections.

        Args:
            spec: Of the function.
            entries: The user's functions that answer, or return what does, by method name.
            web_dir: Directory of the sockets.
            container_id: The sockets are named after it.
            ports: Where servers of the user's can be reached, if there are any.

        Raises:
            InvalidError: something cannot be served; the text says what to change.
            BaseException: whatever the user's code raises.
        """
        for method, web in spec.web_methods.items():
            context = SiteContext(
                path=socket_path(web_dir, container_id, method),
                title=f"{shown_name(spec.name)}.{method}" if method else spec.name,
                max_inputs=spec.concurrency.max_inputs,
                ports=ports,
                interrupt=self._leave,
            )
            self._sites.append(build_site(entries[method], web, context))
        for site in self._sites:
            self._hooks.call(site.start)
        for site in self._sites:
            self._hooks.call(site.open)

    def attach(self, interrupt: Callable[[], None]) -> None:
        """Have `interrupt` called, which shuts the container down, when the user's code raises KeyboardInterrupt."""
        self._interrupt = interrupt

    def _leave(self) -> None:
        if self._interrupt is not None:
            self._interrupt()

    # ------------------------------------------------------------ closing

    def close(self, on_closed: Callable[[], None]) -> None:
        """Accept no more requests; finish those that were accepted within the grace, then call `on_closed`."""
        if self._closing is None:
            self._closing = self._hooks.loop.create_task(self._close(on_closed))

    async def _close(self, on_closed: Callable[[], None]) -> None:
        await asyncio.gather(*(site.close() for site in self._sites))
        try:
            async with asyncio.timeout(self._grace_s() * _SHARE):
                await self._wait()
        except TimeoutError:
            await self._end_by_force()
        self.is_closed = True
        on_closed()

    async def _wait(self) -> None:
        await asyncio.gather(*(site.wait() for site in self._sites))

    async def _end_by_force(self) -> None:
        for site in self._sites:
            site.end_gracefully()
        if not await self._are_done():
            await self._abort()

    async def _abort(self) -> None:
        for site in self._sites:
            site.abort()
        await self._are_done()  # if not, a handler ignores that it is cancelled

    async def _are_done(self) -> bool:
        try:
            async with asyncio.timeout(_CLEANUP_S):
                await self._wait()
        except TimeoutError:
            return False
        return True

    def abandon(self) -> None:
        """Break every connection: requests that run get no response. For a container that must shut down at once."""
        if self._closing is not None:
            self._closing.cancel()
        self._hooks.call(self._abandon)

    async def _abandon(self) -> None:
        await asyncio.gather(*(site.close() for site in self._sites))
        await self._abort()

    @property
    def stops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """The shutdown of each app, to be called when all is closed: like exit hooks, and before them."""
        return [site.stop for site in self._sites]
