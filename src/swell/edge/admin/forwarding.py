"""What a proxy in front of the admin port tells of a request that it passes on.

Only a program on this machine is believed. That is enough for what depends on it: the headers cannot be set by a page
of another site, and a program that lies about its own request harms nobody else. This module must not know routes.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = ["forwarded_host", "is_over_tls"]


def forwarded_host(scope: Scope) -> str:
    """Return the host that a browser asked for, if a proxy tells it, else ""."""
    return _told(scope, "x-forwarded-host")


def is_over_tls(scope: Scope) -> bool:
    """Tell whether a browser's request came by HTTPS, which the edge itself does not speak.

    A page tells its scheme in the Origin of what it posts; a proxy may tell it in X-Forwarded-Proto.
    """
    origin = Headers(scope=scope).get("origin", "")
    return origin.startswith("https://") or _told(scope, "x-forwarded-proto").lower() == "https"


def _told(scope: Scope, name: str) -> str:
    """Return the last value in a header, which the nearest proxy has added."""
    client = scope.get("client")
    if client is None or not _is_loopback(client[0]):
        return ""
    return Headers(scope=scope).get(name, "").rpartition(",")[2].strip()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
