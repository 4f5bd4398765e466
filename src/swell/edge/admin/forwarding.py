"""Headers by which a proxy in front of the admin port describes the browser's request.

Only a program on this machine is trusted. That is enough for their use: a page of another site cannot set them, and a
program that lies about its own request harms nobody else. This module must not know routes.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = ["forwarded_host", "is_over_tls"]


def forwarded_host(scope: Scope) -> str:
    """Return the host that the browser asked for, as a proxy forwards it, else ""."""
    return _forwarded(scope, "x-forwarded-host")


def is_over_tls(scope: Scope) -> bool:
    """Return whether the browser's request came by HTTPS, which the edge itself does not speak.

    The Origin of a POST has the scheme of the page; a proxy may set X-Forwarded-Proto.
    """
    origin = Headers(scope=scope).get("origin", "")
    return origin.startswith("https://") or _forwarded(scope, "x-forwarded-proto").lower() == "https"


def _forwarded(scope: Scope, name: str) -> str:
    """Return the last value of a header, which the nearest proxy has added."""
    client = scope.get("client")
    if client is None or not _is_loopback(client[0]):
        return ""
    return Headers(scope=scope).get(name, "").rpartition(",")[2].strip()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
