"""Sends a browser from the URL of a site to the same with a slash at its end, where relative links work.

At /shop, a page's "style.css" is /style.css, which is nobody's; at /shop/ it is the site's. Only whoever asks for a
page is sent there. Webhooks and scripts, many of which do not follow redirects, are answered where they ask, and so are
other methods, whose bodies would have to be sent again. An endpoint has one URL and no pages.

This module must not know connections, or what answers.
"""

from __future__ import annotations

from swell.edge.gateway.head import RequestHead
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.resume_redirect import escaped
from swell.edge.gateway.routing import Match

__all__ = ["slash_redirect"]


def slash_redirect(head: RequestHead, match: Match) -> HTTPError | None:
    """Return where a request is sent; None if it is answered where it asks.

    Its Location is relative, so that it holds behind a proxy that puts something before the path.
    """
    path, mark, query = head.target.partition(b"?")
    if path != match.root or not match.route.web.is_site or not _asks_for_page(head):
        return None
    return HTTPError(307, "", [(b"location", match.root[1:] + b"/" + escaped(mark + query))])


def _asks_for_page(head: RequestHead) -> bool:
    """Tell whether a browser asks, or who says nothing of what it accepts: a simple client, which follows redirects."""
    if head.method not in (b"GET", b"HEAD") or head.wants_websocket or head.first(b"upgrade") is not None:
        return False
    accepted = head.first(b"accept")
    return accepted is None or b"text/html" in accepted.lower()
