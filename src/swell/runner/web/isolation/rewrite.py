"""Which socket addresses of a container lead to its private ports, and what they become.

A server may bind its port at any address: all of them end at the container's own. A connection is redirected only if it
is to this machine: to its loopback addresses, or to "any", which the kernel takes for loopback. Everything else stays
as the program gave it. The arithmetic on bytes is all there is here: this module must not know system calls or sockets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["PortMapping", "RewrittenAddress", "rewrite_address"]

_INET: Final = struct.pack("=H", socket.AF_INET)
_INET6: Final = struct.pack("=H", socket.AF_INET6)
_MAPPED: Final = bytes(10) + b"\xff\xff"  #: begins an address of IPv6 that stands for one of IPv4
_LOOPBACK6: Final = bytes(15) + b"\1"
_ANY, _ANY6 = bytes(4), bytes(16)  #: all addresses; to a client they mean this machine
_SIZE, _SIZE6 = 16, 24  #: bytes that the kernel wants of a socket address


class PortMapping(NamedTuple):
    """Where sockets go that are bound to one port of one container.

    There are two numbers, because a server may bind its port once for IPv4 and once for IPv6.
    """

    host: bytes  #: address of IPv4, four bytes
    four: int  #: the port for sockets of IPv4
    six: int  #: the port for sockets of IPv6


class RewrittenAddress(NamedTuple):
    """A socket address that leads to a private port."""

    address: bytes
    port: int  #: that the program wanted
    number: int  #: of the port that it gets
    is_six: bool  #: it is for a socket of IPv6


def rewrite_address(
    address: bytes, mappings: Mapping[int, PortMapping], bound: Mapping[int, int] | None
) -> RewrittenAddress | None:
    """Return what a socket address becomes; None if it stays as it is.

    An address that leads to a private port already is treated like the one that it was, for it may have the wrong one
    of the two numbers: a program that uses it again finds it in its memory as it was rewritten.

    Args:
        address: As a program gave it to `bind` or `connect`.
        mappings: Of this container's ports, by port.
        bound: For `connect`, the number that was bound last in place of each port; None for `bind`.
    """
    family, number = address[:2], int.from_bytes(address[2:4], "big")
    if family == _INET and len(address) >= _SIZE:
        is_six, host, is_here = False, address[4:8], _is_here(address[4:8])
    elif family == _INET6 and len(address) >= _SIZE6:
        is_six, host, is_here = True, address[20:24], _is_here6(address[8:24])
    else:
        return None
    found = next(
        ((port, it) for port, it in mappings.items() if number == port or (number in it[1:] and host == it.host)), None
    )
    if found is None or (bound is not None and not is_here):
        return None
    port, mapping = found
    own = mapping.six if is_six else mapping.four
    number = own if bound is None else bound.get(port, own)
    head = family + number.to_bytes(2, "big")
    rest = address[4:8] + _MAPPED + mapping.host + address[24:] if is_six else mapping.host + address[8:]
    return RewrittenAddress(head + rest, port, number, is_six)


def _is_here(host: bytes) -> bool:
    return host[0] == 127 or host == _ANY


def _is_here6(host: bytes) -> bool:
    return _is_here(host[12:]) if host.startswith(_MAPPED) else host in (_ANY6, _LOOPBACK6)
