"""File descriptors of the edge: as many as it may have, and how many of them each kind of connection gets.

Both ports are served by one process, and a process has one table of descriptors. If it is full, neither port accepts
connections, and no request reaches a container. So each kind of connection has a share of its own, and connections
beyond it are refused while there are descriptors left to refuse them with. This module must not know what is served.
"""

from __future__ import annotations

import resource
from typing import Final, NamedTuple

__all__ = ["DescriptorShares", "divide_descriptors", "raise_descriptor_limit"]

#: For the listeners, the server, files, the loop, and clients that are just being told that there is no room for them.
RESERVED: Final = 160
PER_ADMIN_CONNECTION: Final = 2  #: one that follows a log has another connection, to the server
ENOUGH: Final = 1 << 20  #: of a limit that is infinite


class DescriptorShares(NamedTuple):
    """How many connections of each kind may be open at once."""

    clients: int  #: of clients, to the gateway
    upstream: int  #: of the gateway, to containers; at least as many as `clients`
    admin: int  #: of clients, to the admin port


def raise_descriptor_limit() -> int:
    """Raise the soft limit of this process to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def divide_descriptors(limit: int, clients_max: int, admin_max: int) -> DescriptorShares:
    """Divide descriptors, so that no kind of connection can use up those of another.

    Args:
        limit: how many descriptors the process may have.
        clients_max: how many connections of clients the gateway accepts if there are enough.
        admin_max: how many connections the admin port accepts if there are enough.

    Returns:
        The shares: at least 1 connection of each kind, however low the limit is. With a limit of 1,024 and the default
        settings, the admin port gets 108 connections (216 descriptors), and the gateway 324 with 324 to containers.
    """
    usable = max(0, limit - RESERVED)
    admin = max(1, min(admin_max, usable // (4 * PER_ADMIN_CONNECTION)))
    rest = max(2, usable - PER_ADMIN_CONNECTION * admin)
    clients = min(clients_max, rest // 2)
    return DescriptorShares(clients, rest - clients, admin)
