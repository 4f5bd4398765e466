"""From a user's web function to the site that serves it.

The function is called here, once, unless it answers each request itself. Frameworks and servers are imported only if
they are needed. This module must not know when sites open and close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, NamedTuple, cast

from swell.errors import InvalidError
from swell.model import WebSpec
from swell.runner.entry import EntryPoint
from swell.runner.result_codec import check_plain
from swell.runner.web.isolation.ports import Ports
from swell.runner.web.site import Site
from swell.wire.context import stop_fetching

__all__ = ["SiteContext", "build_site", "load"]


class SiteContext(NamedTuple):
    """What all kinds of sites are built from."""

    path: str  #: of its socket
    title: str  #: of the function, for people
    max_inputs: int
    ports: Ports | None  #: where servers of the user's can be reached, if there are any
    interrupt: Callable[[], None]  #: shuts the container down


def load(webs: Iterable[WebSpec]) -> None:
    """Import what sites of these kinds need; done in a snapshot, it costs no start any time."""
    if any(web.kind != "server" for web in webs):
        import_module("swell.runner.web.app_site")


def build_site(entry: EntryPoint, web: WebSpec, context: SiteContext) -> Site:
    """Return the site of one web function.

    Raises:
        InvalidError: what the function returned cannot be served.
        BaseException: whatever the function raises.
    """
    if web.kind == "server":
        from swell.runner.web.relay import RelaySite

        assert context.ports is not None
        server = entry.call()
        addresses = context.ports.addresses(web.port)
        return RelaySite(context.path, web.port, addresses, web.startup_timeout_s, stop_fetching, keep=server)
    from swell.runner.web.app_site import AppSite  # brings uvicorn

    return AppSite(context.path, _app(entry, web, context), context.max_inputs, context.interrupt)


def _app(entry: EntryPoint, web: WebSpec, context: SiteContext) -> Any:
    """Return the ASGI app of a web function."""
    if web.kind == "endpoint":
        from swell.runner.web.endpoint import endpoint_app

        return endpoint_app(entry, web, context.title)
    app: object = entry.call()
    check_plain(app, context.title)
    if not callable(app):
        wanted = "an ASGI app" if web.kind == "asgi" else "a WSGI app"
        raise InvalidError(
            f"{context.title} is under @swell.{web.kind}_app and must return {wanted}, not a {type(app).__qualname__}"
        )
    if web.kind == "asgi":
        return app
    from swell.runner.web.wsgi import WsgiApp, WsgiBridge

    return WsgiBridge(cast("WsgiApp", app), context.max_inputs)
