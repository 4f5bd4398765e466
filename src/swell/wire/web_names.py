"""Where a container answers HTTP: the path of a Unix socket for each of its web functions.

The container makes the sockets; the edge, or the agent of the container's node, connects to them. All find them by this
rule. This module must not know the
protocol on them.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from swell.errors import InvalidError

__all__ = ["PATH_MAX", "socket_name", "socket_path"]

PATH_MAX: Final = 107  #: bytes that the path of a Unix socket may have on Linux


def socket_path(web_dir: str, container_id: str, method: str) -> str:
    """Return the path of the socket of one web function.

    Args:
        web_dir: Directory of the sockets of one server.
        container_id: Id of the container that serves it.
        method: Name of the method, for a class; "" for a function.

    Raises:
        InvalidError: the path is longer than the system takes.
    """
    path = f"{web_dir}/{socket_name(container_id, method)}"  # os.path.join would take a microsecond of each request
    size = len(os.fsencode(path))
    if size > PATH_MAX:
        raise InvalidError(
            f"the path of a Unix socket may have {PATH_MAX} bytes, and {path} has {size}: "
            "let the server run in a directory with a shorter name"
        )
    return path


def socket_name(container_id: str, method: str) -> str:
    """Return the name of the socket in its directory."""
    # Names of methods have any length and may hold any letter; a part of their digest has neither.
    return f"{container_id}.{hashlib.sha256(method.encode()).hexdigest()[:8]}" if method else container_id
